//! Between a session's output and the person's terminal: what passes depends on the role.

use super::mode::{self, Traces};
use super::queries::Queries;
use super::sequence::{Judge, Splitter};
use super::shield::Shield;
use crate::fleet::Role;

/// The filter of one role; output may come in any pieces.
pub(super) struct Gate {
    splitter: Splitter,
    judge: RoleJudge,
}

enum RoleJudge {
    Observer(Shield),
    Driver(Queries),
}

impl RoleJudge {
    fn of(role: Role, traces: Traces) -> RoleJudge {
        match role {
            Role::Observer => RoleJudge::Observer(Shield::new(traces)),
            Role::Driver => RoleJudge::Driver(Queries { traces }),
        }
    }

    fn as_dyn(&mut self) -> &mut dyn Judge {
        match self {
            RoleJudge::Observer(shield) => shield,
            RoleJudge::Driver(queries) => queries,
        }
    }

    fn traces_mut(&mut self) -> &mut Traces {
        match self {
            RoleJudge::Observer(shield) => &mut shield.traces,
            RoleJudge::Driver(queries) => &mut queries.traces,
        }
    }

    fn traces(&self) -> &Traces {
        match self {
            RoleJudge::Observer(shield) => &shield.traces,
            RoleJudge::Driver(queries) => &queries.traces,
        }
    }
}

impl Gate {
    pub(super) fn new(role: Role) -> Gate {
        Gate { splitter: Splitter::default(), judge: RoleJudge::of(role, Traces::default()) }
    }

    /// What of the session's output may be shown.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        self.splitter.take(bytes, self.judge.as_dyn(), &mut out);
        mode::note(self.judge.traces());
        out
    }

    /// What of a screen painted anew may be shown; the output goes on from where it is.
    pub(super) fn pass_painted(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = self.interrupt();
        Splitter::default().take(bytes, self.judge.as_dyn(), &mut out);
        mode::note(self.judge.traces());
        out
    }

    /// What must be shown before anything that is not the session's.
    pub(super) fn interrupt(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.splitter.interrupt(self.judge.as_dyn(), &mut out);
        out
    }

    /// Output begins anew: nothing of what came before goes on.
    pub(super) fn restart(&mut self) -> Vec<u8> {
        let out = self.interrupt();
        self.splitter = Splitter::default();
        out
    }

    /// The terminal has been given back: its keyboard's stack and its screen are the person's.
    pub(super) fn forget(&mut self) {
        self.judge.traces_mut().forget();
    }

    /// Another role; what was begun under the old one is judged by the new one, or ends.
    pub(super) fn set_role(&mut self, role: Role) -> Vec<u8> {
        let out = self.interrupt();
        self.judge = RoleJudge::of(role, self.judge.traces().clone());
        out
    }
}
