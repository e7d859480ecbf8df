use super::{Call, Facade, not_offered};
use crate::wire::cmdop::*;
use tonic::{Status, Streaming};
pub(in crate::relay) type Replies = tokio_stream::Once<Result<ControlMessage, Status>>;
pub(super) fn serve(_facade: Facade, _call: Call, _frames: Streaming<AgentMessage>) -> Replies {
    tokio_stream::once(Err(not_offered("this yet")))
}
