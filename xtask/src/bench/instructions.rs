//! Placeholder.
pub(super) fn command() -> anyhow::Result<bool> {
    Ok(true)
}
