//! Whether a caller may do what it asks for: by its key, by the machine's own rules, and by the machine's password where it
//! has one. The machine is asked at every call; only what it said a moment ago is not asked again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tonic::Status;

use super::places::{Place, about};
use super::{Call, Facade};
use crate::fleet::{Action, Caller, Code, KeyId, MachineId, Refusal, Secret, SessionId};
use crate::relay::event::Event;
use crate::relay::hub::stopping;
use crate::wire::v1;

/// How long an answer of the machine's holds: pollers ask several times a second.
const FRESH: Duration = Duration::from_secs(1);
/// Answers remembered at once; when there are more the table starts anew.
const ANSWERS_CAP: usize = 10_000;
/// How long a password need not be shown again.
pub(super) const TOKEN_TTL: Duration = Duration::from_secs(3600);
/// Living tokens; the ones that expire first are given up for new ones.
const TOKENS_CAP: usize = 10_000;

/// Who asked, about what: key, principal, session, action.
type Question = (Option<KeyId>, String, SessionId, Action);

#[derive(Default)]
struct State {
    /// What machines answered lately: whether they want their password.
    answers: HashMap<Question, (Instant, bool)>,
    tokens: HashMap<String, Token>,
}

struct Token {
    caller: Caller,
    machine: MachineId,
    until: Instant,
}

/// What machines allowed, and who showed their passwords.
#[derive(Default)]
pub(super) struct Admissions {
    state: Mutex<State>,
}

impl Admissions {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, question: &Question) -> Option<bool> {
        self.state().answers.get(question).filter(|(since, _)| since.elapsed() < FRESH).map(|(_, answer)| *answer)
    }

    fn remember(&self, question: Question, needs_password: bool) {
        let mut state = self.state();
        if state.answers.len() >= ANSWERS_CAP {
            state.answers.clear();
        }
        state.answers.insert(question, (Instant::now(), needs_password));
    }

    /// Whether a call carries what this caller got for the machine's password.
    fn has_token(&self, call: &Call, machine: MachineId) -> bool {
        let state = self.state();
        let token = call.token.as_ref().and_then(|token| state.tokens.get(token));
        token.is_some_and(|token| {
            token.caller.is_same(&call.caller) && token.machine == machine && token.until > Instant::now()
        })
    }

    /// A token for whoever has shown the machine's password.
    fn issue(&self, caller: &Caller, machine: MachineId) -> String {
        let mut state = self.state();
        let now = Instant::now();
        state.tokens.retain(|_, token| token.until > now);
        if state.tokens.len() >= TOKENS_CAP
            && let Some(oldest) = state.tokens.iter().min_by_key(|(_, token)| token.until).map(|(key, _)| key.clone())
        {
            state.tokens.remove(&oldest);
        }
        let secret = Secret::random().reveal().to_string();
        state.tokens.insert(secret.clone(), Token { caller: caller.clone(), machine, until: now + TOKEN_TTL });
        secret
    }
}

impl Facade {
    /// Refused unless the caller may do this to the session of a place, and has shown the machine's password.
    pub(super) async fn may(&self, call: &Call, place: &Place, action: Action) -> Result<(), Status> {
        if self.may_without_password(call, place, action).await? && !self.has_token(call, place) {
            let name = &place.machine.facts.name;
            let message = format!("{name} asks for its password; attach with it first, and go on with the same client");
            return Err(Status::permission_denied(message));
        }
        Ok(())
    }

    /// The same before the password; whether the machine asks for one.
    pub(super) async fn may_without_password(
        &self,
        call: &Call,
        place: &Place,
        action: Action,
    ) -> Result<bool, Status> {
        if let Err(refusal) = call.caller.needs(action) {
            self.inner.auth.denied(&call.caller, action.name(), &refusal);
            return Err(crate::wire::status_of(&refusal));
        }
        let question = (call.caller.key, call.caller.principal.to_string(), place.session, action);
        if let Some(answer) = self.inner.admissions.answer(&question) {
            return Ok(answer);
        }
        let needs_password = match self.admit(call, place, action, String::new()).await? {
            Ok(needs_password) => needs_password,
            // An agent of before there were passwords; its rules are asked at the attach itself.
            Err(refusal) if refusal.code == Code::Invalid => false,
            Err(refusal) => return Err(about(place.session)(refusal)),
        };
        self.inner.admissions.remember(question, needs_password);
        Ok(needs_password)
    }

    /// Whether the call carries the token of this caller and machine.
    pub(super) fn has_token(&self, call: &Call, place: &Place) -> bool {
        self.inner.admissions.has_token(call, place.machine.facts.id)
    }

    /// Shows the machine a password; a token for the right one.
    pub(super) async fn show_password(
        &self,
        call: &Call,
        place: &Place,
        action: Action,
        password: String,
    ) -> Result<String, Status> {
        match self.admit(call, place, action, password).await? {
            Ok(false) => Ok(self.inner.admissions.issue(&call.caller, place.machine.facts.id)),
            Ok(true) => Err(Status::unauthenticated("the machine asks for its password")),
            Err(refusal) => {
                self.inner.auth.denied(&call.caller, "show the machine's password", &refusal);
                Err(about(place.session)(refusal))
            }
        }
    }

    async fn admit(
        &self,
        call: &Call,
        place: &Place,
        action: Action,
        password: String,
    ) -> Result<Result<bool, Refusal>, Status> {
        let session = bytes::Bytes::copy_from_slice(place.session.as_bytes());
        let admit = v1::AdmitRequest { session, action: action.name().into(), password };
        let (answer_tx, answer_rx) = oneshot::channel();
        let (caller, machine) = (call.caller.clone(), place.machine.facts.id);
        self.inner.events_tx.send(Event::Admit { caller, machine, admit, answer_tx }).await.map_err(|_| stopping())?;
        answer_rx.await.map_err(|_| Status::unavailable("the machine's agent did not answer in time; see its log"))
    }
}
