//! Files of a machine, for the SDKs.

use tonic::Status;

use super::{Call, Facade, not_offered};
use crate::wire::cmdop::*;

pub(super) async fn list(
    _facade: Facade,
    _call: Call,
    _request: FileListDirectoryRpcRequest,
) -> Result<FileListDirectoryRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn read(
    _facade: Facade,
    _call: Call,
    _request: FileReadRpcRequest,
) -> Result<FileReadRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn write(
    _facade: Facade,
    _call: Call,
    _request: FileWriteRpcRequest,
) -> Result<FileWriteRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn create_directory(
    _facade: Facade,
    _call: Call,
    _request: FileCreateDirectoryRpcRequest,
) -> Result<FileCreateDirectoryRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn delete(
    _facade: Facade,
    _call: Call,
    _request: FileDeleteRpcRequest,
) -> Result<FileDeleteRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn rename(
    _facade: Facade,
    _call: Call,
    _request: FileMoveRpcRequest,
) -> Result<FileMoveRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn copy(
    _facade: Facade,
    _call: Call,
    _request: FileCopyRpcRequest,
) -> Result<FileCopyRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn info(
    _facade: Facade,
    _call: Call,
    _request: FileGetInfoRpcRequest,
) -> Result<FileGetInfoRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn archive(
    _facade: Facade,
    _call: Call,
    _request: FileCreateArchiveRpcRequest,
) -> Result<FileCreateArchiveRpcResponse, Status> {
    Err(not_offered("files"))
}

pub(super) async fn search(
    _facade: Facade,
    _call: Call,
    _request: FileSearchRpcRequest,
) -> Result<FileSearchRpcResponse, Status> {
    Err(not_offered("files"))
}
