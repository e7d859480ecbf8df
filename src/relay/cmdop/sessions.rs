use super::{Call, Facade, not_offered};
use crate::wire::cmdop::*;
use tonic::Status;
pub(super) async fn health(
    _facade: Facade,
    _call: Call,
    _request: HealthCheckRequest,
) -> Result<HealthCheckResponse, Status> {
    Err(not_offered("this yet"))
}
pub(super) async fn create(
    _facade: Facade,
    _call: Call,
    _request: CreateSessionRequest,
) -> Result<CreateSessionResponse, Status> {
    Err(not_offered("this yet"))
}
pub(super) async fn close(
    _facade: Facade,
    _call: Call,
    _request: CloseSessionRequest,
) -> Result<CloseSessionResponse, Status> {
    Err(not_offered("this yet"))
}
pub(super) async fn status(
    _facade: Facade,
    _call: Call,
    _request: GetSessionStatusRequest,
) -> Result<GetSessionStatusResponse, Status> {
    Err(not_offered("this yet"))
}
pub(super) async fn list(
    _facade: Facade,
    _call: Call,
    _request: ListSessionsRequest,
) -> Result<ListSessionsResponse, Status> {
    Err(not_offered("this yet"))
}
pub(super) async fn by_hostname(
    _facade: Facade,
    _call: Call,
    _request: GetSessionByHostnameRequest,
) -> Result<GetSessionByHostnameResponse, Status> {
    Err(not_offered("this yet"))
}
