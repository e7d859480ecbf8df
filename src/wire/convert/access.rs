//! Roles, codes, refusals and sizes.

use crate::fleet::{Action, Actions, Code, Refusal, Role, Size, cleaned_message};
use crate::wire::v1;

/// To the wire.
pub fn role(role: Role) -> i32 {
    match role {
        Role::Observer => v1::Role::Observer as i32,
        Role::Driver => v1::Role::Driver as i32,
    }
}

/// From the wire; anything unknown is the role that may do least.
pub fn role_from(role: i32) -> Role {
    if role == v1::Role::Driver as i32 { Role::Driver } else { Role::Observer }
}

/// To the wire.
pub fn size(size: Size) -> v1::Size {
    v1::Size { rows: size.rows().into(), cols: size.cols().into() }
}

/// From the wire, clamped; an absent size is the default one.
pub fn size_from(size: Option<v1::Size>) -> Size {
    size.map_or(Size::DEFAULT, |size| Size::new(size.rows, size.cols))
}

/// What a request about files was refused for: its machine, not a file there.
pub const OF_MACHINE: &str = "machine";

/// To the wire; `frame` names what was refused.
pub fn refusal(refusal: &Refusal, frame: &str) -> v1::Refused {
    let code = match refusal.code {
        Code::Invalid => v1::Code::Invalid,
        Code::PermissionDenied => v1::Code::PermissionDenied,
        Code::NotFound => v1::Code::NotFound,
        Code::Unavailable => v1::Code::Unavailable,
        Code::Exhausted => v1::Code::Exhausted,
        Code::Internal => v1::Code::Internal,
        Code::Ambiguous => v1::Code::Ambiguous,
        Code::Unauthenticated => v1::Code::Unauthenticated,
        Code::Exists => v1::Code::Exists,
    };
    v1::Refused { code: code as i32, message: refusal.message.clone(), frame: frame.into() }
}

/// From the wire.
pub fn refusal_from(refused: &v1::Refused) -> Refusal {
    let code = match refused.code() {
        v1::Code::Invalid => Code::Invalid,
        v1::Code::PermissionDenied => Code::PermissionDenied,
        v1::Code::NotFound => Code::NotFound,
        v1::Code::Unavailable => Code::Unavailable,
        v1::Code::Exhausted => Code::Exhausted,
        v1::Code::Ambiguous => Code::Ambiguous,
        v1::Code::Unauthenticated => Code::Unauthenticated,
        v1::Code::Exists => Code::Exists,
        v1::Code::Internal | v1::Code::Unspecified => Code::Internal,
    };
    Refusal::new(code, cleaned_message(refused.message.clone()))
}

/// To the wire.
pub fn actions(actions: &Actions) -> Vec<i32> {
    let one = |action| match action {
        Action::Observe => v1::Action::Observe as i32,
        Action::Drive => v1::Action::Drive as i32,
        Action::Exec => v1::Action::Exec as i32,
        Action::Read => v1::Action::Read as i32,
        Action::Files => v1::Action::Files as i32,
        Action::Admin => v1::Action::Admin as i32,
    };
    actions.iter().map(one).collect()
}

/// From the wire; an unknown action allows nothing here.
pub fn actions_from(actions: &[i32]) -> Actions {
    let one = |number: &i32| match v1::Action::try_from(*number) {
        Ok(v1::Action::Observe) => Some(Action::Observe),
        Ok(v1::Action::Drive) => Some(Action::Drive),
        Ok(v1::Action::Exec) => Some(Action::Exec),
        Ok(v1::Action::Read) => Some(Action::Read),
        Ok(v1::Action::Files) => Some(Action::Files),
        Ok(v1::Action::Admin) => Some(Action::Admin),
        Ok(v1::Action::Unspecified) | Err(_) => None,
    };
    actions.iter().filter_map(one).collect()
}
