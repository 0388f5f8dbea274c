//! Refusals of the API: a status, and an object that says why in words.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refusal {
    /// In words.
    error: String,
}

/// The same with its status.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    reason: String,
    /// Seconds after which asking again may help.
    retry_after: Option<u64>,
}

impl Refused {
    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: reason.into(), retry_after: None }
    }

    pub(crate) fn not_found(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, reason: reason.into(), retry_after: None }
    }

    pub(crate) fn unavailable(reason: impl Into<String>, retry_after: Option<u64>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, reason: reason.into(), retry_after }
    }
}

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, reason, retry_after } = self;
        let mut response = (status, Json(Refusal { error: reason })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
