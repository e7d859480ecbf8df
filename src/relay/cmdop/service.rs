//! The SDKs' service as tonic sees it: every call is authenticated and bounded in time here, and handled elsewhere.

use tonic::{Request, Response, Status, Streaming};

use super::{Facade, attach, files, io, output, sessions};
use crate::wire::cmdop::terminal_streaming_service_server::TerminalStreamingService;
use crate::wire::cmdop::*;

#[tonic::async_trait]
impl TerminalStreamingService for Facade {
    type ConnectTerminalStream = attach::Replies;
    type RunAgentStreamStream = tokio_stream::Empty<Result<RunAgentStreamResponse, Status>>;

    async fn connect_terminal(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ConnectTerminalStream>, Status> {
        let call = self.call(&request)?;
        self.opened(&request, &call);
        Ok(Response::new(attach::serve(self.clone(), call, request.into_inner())))
    }

    async fn get_challenge(
        &self,
        request: Request<GetChallengeRequest>,
    ) -> Result<Response<GetChallengeResponse>, Status> {
        self.not_offered(&request, "signed challenges; a machine that asks for a password asks on the attach stream")
    }

    async fn create_session(
        &self,
        request: Request<CreateSessionRequest>,
    ) -> Result<Response<CreateSessionResponse>, Status> {
        self.serve(request, sessions::create).await
    }

    async fn close_session(
        &self,
        request: Request<CloseSessionRequest>,
    ) -> Result<Response<CloseSessionResponse>, Status> {
        self.serve(request, sessions::close).await
    }

    async fn get_session_status(
        &self,
        request: Request<GetSessionStatusRequest>,
    ) -> Result<Response<GetSessionStatusResponse>, Status> {
        self.serve(request, sessions::status).await
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        self.serve(request, sessions::list).await
    }

    async fn get_session_by_hostname(
        &self,
        request: Request<GetSessionByHostnameRequest>,
    ) -> Result<Response<GetSessionByHostnameResponse>, Status> {
        self.serve(request, sessions::by_hostname).await
    }

    async fn send_input(&self, request: Request<SendInputRequest>) -> Result<Response<SendInputResponse>, Status> {
        self.serve(request, io::input).await
    }

    async fn send_resize(&self, request: Request<SendResizeRequest>) -> Result<Response<SendResizeResponse>, Status> {
        self.serve(request, io::resize).await
    }

    async fn send_signal(&self, request: Request<SendSignalRequest>) -> Result<Response<SendSignalResponse>, Status> {
        self.serve(request, io::signal).await
    }

    async fn get_history(&self, request: Request<GetHistoryRequest>) -> Result<Response<GetHistoryResponse>, Status> {
        self.serve(request, io::history).await
    }

    async fn get_output(&self, request: Request<GetOutputRequest>) -> Result<Response<GetOutputResponse>, Status> {
        self.serve(request, output::get).await
    }

    async fn health_check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if self.is_ping(&request) {
            return Ok(Response::new(sessions::ping()));
        }
        self.serve(request, sessions::health).await
    }

    async fn register_device_token(
        &self,
        request: Request<RegisterDeviceTokenRequest>,
    ) -> Result<Response<RegisterDeviceTokenResponse>, Status> {
        self.not_offered(&request, "push notifications")
    }

    async fn unregister_device_token(
        &self,
        request: Request<UnregisterDeviceTokenRequest>,
    ) -> Result<Response<UnregisterDeviceTokenResponse>, Status> {
        self.not_offered(&request, "push notifications")
    }

    async fn enter_background(
        &self,
        request: Request<EnterBackgroundRequest>,
    ) -> Result<Response<EnterBackgroundResponse>, Status> {
        self.not_offered(&request, "background sessions: a session lives without clients anyway")
    }

    async fn wake_from_background(
        &self,
        request: Request<WakeFromBackgroundRequest>,
    ) -> Result<Response<WakeFromBackgroundResponse>, Status> {
        self.not_offered(&request, "background sessions: a session lives without clients anyway")
    }

    async fn queue_command(
        &self,
        request: Request<QueueCommandRequest>,
    ) -> Result<Response<QueueCommandResponse>, Status> {
        self.not_offered(&request, "queued commands")
    }

    async fn file_list_directory(
        &self,
        request: Request<FileListDirectoryRpcRequest>,
    ) -> Result<Response<FileListDirectoryRpcResponse>, Status> {
        self.serve_file(request, files::list).await
    }

    async fn file_read(&self, request: Request<FileReadRpcRequest>) -> Result<Response<FileReadRpcResponse>, Status> {
        self.serve_file(request, files::read).await
    }

    async fn file_write(
        &self,
        request: Request<FileWriteRpcRequest>,
    ) -> Result<Response<FileWriteRpcResponse>, Status> {
        self.serve_file(request, files::write).await
    }

    async fn file_create_directory(
        &self,
        request: Request<FileCreateDirectoryRpcRequest>,
    ) -> Result<Response<FileCreateDirectoryRpcResponse>, Status> {
        self.serve_file(request, files::create_directory).await
    }

    async fn file_delete(
        &self,
        request: Request<FileDeleteRpcRequest>,
    ) -> Result<Response<FileDeleteRpcResponse>, Status> {
        self.serve_file(request, files::delete).await
    }

    async fn file_move(&self, request: Request<FileMoveRpcRequest>) -> Result<Response<FileMoveRpcResponse>, Status> {
        self.serve_file(request, files::rename).await
    }

    async fn file_copy(&self, request: Request<FileCopyRpcRequest>) -> Result<Response<FileCopyRpcResponse>, Status> {
        self.serve_file(request, files::copy).await
    }

    async fn file_get_info(
        &self,
        request: Request<FileGetInfoRpcRequest>,
    ) -> Result<Response<FileGetInfoRpcResponse>, Status> {
        self.serve_file(request, files::info).await
    }

    async fn file_create_archive(
        &self,
        request: Request<FileCreateArchiveRpcRequest>,
    ) -> Result<Response<FileCreateArchiveRpcResponse>, Status> {
        self.serve_file(request, files::archive).await
    }

    async fn file_search(
        &self,
        request: Request<FileSearchRpcRequest>,
    ) -> Result<Response<FileSearchRpcResponse>, Status> {
        self.serve_file(request, files::search).await
    }

    async fn hls_get_playlist(
        &self,
        request: Request<HlsGetPlaylistRpcRequest>,
    ) -> Result<Response<HlsGetPlaylistRpcResponse>, Status> {
        self.not_offered(&request, "video streaming")
    }

    async fn hls_get_segment(
        &self,
        request: Request<HlsGetSegmentRpcRequest>,
    ) -> Result<Response<HlsGetSegmentRpcResponse>, Status> {
        self.not_offered(&request, "video streaming")
    }

    async fn hls_stop_session(
        &self,
        request: Request<HlsStopSessionRpcRequest>,
    ) -> Result<Response<HlsStopSessionRpcResponse>, Status> {
        self.not_offered(&request, "video streaming")
    }

    async fn initiate_streaming_relay(
        &self,
        request: Request<StreamingRelayRequest>,
    ) -> Result<Response<StreamingRelayResponse>, Status> {
        self.not_offered(&request, "transfers between machines")
    }

    async fn relay_chunk(&self, request: Request<StreamingRelayChunk>) -> Result<Response<StreamingRelayAck>, Status> {
        self.not_offered(&request, "transfers between machines")
    }

    async fn get_streaming_relay_status(
        &self,
        request: Request<StreamingRelayStatusRequest>,
    ) -> Result<Response<StreamingRelayStatus>, Status> {
        self.not_offered(&request, "transfers between machines")
    }

    async fn cancel_streaming_relay(
        &self,
        request: Request<StreamingRelayCancelRequest>,
    ) -> Result<Response<StreamingRelayCancelResponse>, Status> {
        self.not_offered(&request, "transfers between machines")
    }

    async fn send_push_notification(
        &self,
        request: Request<SendPushNotificationRequest>,
    ) -> Result<Response<SendPushNotificationResponse>, Status> {
        self.not_offered(&request, "push notifications")
    }

    async fn extract(&self, request: Request<ExtractRequest>) -> Result<Response<ExtractResponse>, Status> {
        self.not_offered(&request, "AI extraction")
    }

    async fn run_agent(&self, request: Request<RunAgentRequest>) -> Result<Response<RunAgentResponse>, Status> {
        self.not_offered(&request, "AI agents")
    }

    async fn run_agent_stream(
        &self,
        request: Request<RunAgentRequest>,
    ) -> Result<Response<Self::RunAgentStreamStream>, Status> {
        self.not_offered(&request, "AI agents")
    }

    async fn cancel_agent(
        &self,
        request: Request<CancelAgentRequest>,
    ) -> Result<Response<CancelAgentResponse>, Status> {
        self.not_offered(&request, "AI agents")
    }

    async fn skill_list(&self, request: Request<SkillListRequest>) -> Result<Response<SkillListResponse>, Status> {
        self.not_offered(&request, "AI skills")
    }

    async fn skill_show(&self, request: Request<SkillShowRequest>) -> Result<Response<SkillShowResponse>, Status> {
        self.not_offered(&request, "AI skills")
    }

    async fn skill_run(&self, request: Request<SkillRunRequest>) -> Result<Response<SkillRunResponse>, Status> {
        self.not_offered(&request, "AI skills")
    }
}
