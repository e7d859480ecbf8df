//! The SDKs' service without a network, for fuzzing.

use std::sync::Arc;

use tonic::Request;

use super::Facade;
use crate::fleet::Secret;
use crate::relay::audit::Audit;
use crate::relay::auth::{Auth, Keyring};
use crate::relay::core::Core;
use crate::relay::hub;
use crate::relay::store::Store;
use crate::wire::Message;
use crate::wire::cmdop::terminal_streaming_service_server::TerminalStreamingService as _;

pub(in crate::relay) fn calls(pieces: &[(u8, &[u8])]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let auth = Arc::new(Auth::new(Keyring::default(), Vec::new(), Store::forgetful(), Audit::default()));
        let events_tx = hub::start(Core::new(Vec::new(), Vec::new()), auth.clone(), Store::forgetful());
        let token = Secret::random();
        let facade = Facade::new(events_tx, auth, Arc::default()).local(token.clone());
        for (kind, data) in pieces {
            call(&facade, &token, *kind, data).await;
        }
    });
}

/// Whatever is answered: it is an answer.
async fn call(facade: &Facade, token: &Secret, kind: u8, data: &[u8]) {
    fn request<M: Message + Default>(token: &Secret, data: &[u8]) -> Option<Request<M>> {
        let mut request = Request::new(M::decode(data).ok()?);
        request.metadata_mut().insert("authorization", format!("Bearer {}", token.reveal()).parse().ok()?);
        Some(request)
    }
    macro_rules! calls {
        ($($method:ident)*) => {{
            let mut number = 0;
            let wanted = kind % [$(stringify!($method)),*].len() as u8;
            $(
                if number == wanted {
                    if let Some(request) = request(token, data) {
                        let _ = facade.$method(request).await;
                    }
                    return;
                }
                number += 1;
            )*
            let _ = number;
        }};
    }
    calls! {
        create_session close_session get_session_status list_sessions get_session_by_hostname send_input send_resize
        send_signal get_history get_output health_check file_list_directory file_read file_write file_delete file_move
        file_copy file_get_info file_search file_create_directory
    }
}
