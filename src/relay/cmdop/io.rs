use super::{Call, Facade, not_offered};
use crate::wire::cmdop::*;
use tonic::Status;
pub(super) async fn input(
    _facade: Facade,
    _call: Call,
    _request: SendInputRequest,
) -> Result<SendInputResponse, Status> {
    Err(not_offered("this yet"))
}
pub(super) async fn resize(
    _facade: Facade,
    _call: Call,
    _request: SendResizeRequest,
) -> Result<SendResizeResponse, Status> {
    Err(not_offered("this yet"))
}
pub(super) async fn signal(
    _facade: Facade,
    _call: Call,
    _request: SendSignalRequest,
) -> Result<SendSignalResponse, Status> {
    Err(not_offered("this yet"))
}
pub(super) async fn history(
    _facade: Facade,
    _call: Call,
    _request: GetHistoryRequest,
) -> Result<GetHistoryResponse, Status> {
    Err(not_offered("this yet"))
}
