//! Refusals as gRPC status and back.

use tonic::{Code as Grpc, Status};

use crate::fleet::{Code, Refusal, cleaned_message};

/// A refusal as the status of a call.
pub fn status_of(refusal: &Refusal) -> Status {
    let code = match refusal.code {
        Code::Invalid => Grpc::InvalidArgument,
        Code::PermissionDenied => Grpc::PermissionDenied,
        Code::NotFound => Grpc::NotFound,
        Code::Unavailable => Grpc::Unavailable,
        Code::Exhausted => Grpc::ResourceExhausted,
        Code::Internal => Grpc::Internal,
        Code::Ambiguous => Grpc::FailedPrecondition,
        Code::Unauthenticated => Grpc::Unauthenticated,
        Code::Exists => Grpc::AlreadyExists,
    };
    Status::new(code, refusal.message.clone())
}

/// The refusal behind the status of a call.
pub fn refusal_of(status: &Status) -> Refusal {
    let code = match status.code() {
        Grpc::InvalidArgument | Grpc::OutOfRange => Code::Invalid,
        Grpc::PermissionDenied => Code::PermissionDenied,
        Grpc::Unauthenticated => Code::Unauthenticated,
        Grpc::NotFound => Code::NotFound,
        Grpc::AlreadyExists => Code::Exists,
        Grpc::ResourceExhausted => Code::Exhausted,
        Grpc::FailedPrecondition => Code::Ambiguous,
        Grpc::Unavailable | Grpc::DeadlineExceeded | Grpc::Cancelled => Code::Unavailable,
        _ => Code::Internal,
    };
    Refusal::new(code, cleaned_message(status.message().to_string()))
}
