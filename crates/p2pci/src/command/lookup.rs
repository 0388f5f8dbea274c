//! `p2pci lookup NUMBER`

use peer::link::lookup_once;

use super::index_failure;
use super::list::{Shown, record_object};
use crate::cli::Lookup;
use crate::exit::{Code, Failure};
use crate::out::Out;
use crate::settings::typed;

/// Shows who has an RFC.
pub async fn run(args: Lookup, out: Out) -> Result<(), Failure> {
    let answer = lookup_once(&args.index.server, None, args.number).await.map_err(index_failure)?;
    let found: Vec<_> = answer.records.iter().filter(|record| record.number == args.number).collect();
    for record in &found {
        out.result(Shown(record), &record_object(record));
    }
    match (found.is_empty(), answer.status) {
        (false, _) => Ok(()),
        (true, status) => Err(nobody(args.number, &typed(&args.index.server), status)),
    }
}

/// What an answer without a record means.
pub fn nobody(
    number: proto::value::number::RfcNumber,
    index: &str,
    status: Option<proto::wire::status::StatusCode>,
) -> Failure {
    use proto::wire::status::StatusCode;
    match status {
        None | Some(StatusCode::OK | StatusCode::NOT_FOUND) => Failure::new(
            Code::NotFound,
            format!("no peer of {index} has RFC {number}; 'p2pci list' shows what there is"),
        ),
        Some(code) => {
            Failure::new(Code::Failed, format!("the index {index} refused the question: {}", code.get()))
        }
    }
}
