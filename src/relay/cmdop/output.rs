use super::{Call, Facade, not_offered};
use crate::wire::cmdop::*;
use tonic::Status;
pub(super) async fn get(_facade: Facade, _call: Call, _request: GetOutputRequest) -> Result<GetOutputResponse, Status> {
    Err(not_offered("this yet"))
}
