//! Identifiers as types, so that a machine is never asked for where a session is meant.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A text or byte string that is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID: {0:?}")]
pub struct IdError(pub String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The 16 bytes, as they travel on the wire.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// From the 16 bytes of the wire.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError(format!("{} bytes", bytes.len())))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(|id| Self(id.into_bytes())).map_err(|_| IdError(text.chars().take(64).collect()))
            }
        }
    };
}

id!(
    /// A machine, for as long as its agent's state directory lives.
    MachineId
);
id!(
    /// A session, from birth to the end of its keeper.
    SessionId
);
id!(
    /// One attached program towards a keeper; whoever knows it may continue that client's input, so it is never shown.
    ClientId
);

id!(
    /// An API key or a machine's key. Names come again; whoever holds a key is known by this.
    KeyId
);

id!(
    /// A one-shot command in the audit log.
    ExecId
);

impl KeyId {
    /// A new one.
    pub fn random() -> KeyId {
        KeyId(Uuid::new_v4().into_bytes())
    }
}

impl ExecId {
    /// A new one, ordered by time.
    pub fn random() -> ExecId {
        ExecId(Uuid::now_v7().into_bytes())
    }
}

impl MachineId {
    /// A new one.
    pub fn random() -> MachineId {
        MachineId(Uuid::now_v7().into_bytes())
    }
}

impl SessionId {
    /// Its first four groups, enough to tell it from others: `0193e2c1-7a8f-7b33-8c01`.
    pub fn short(&self) -> String {
        let whole = self.to_string();
        whole.rsplit_once('-').map_or(whole.clone(), |(short, _)| short.to_string())
    }

    /// A new one, ordered by time.
    pub fn random() -> SessionId {
        SessionId(Uuid::now_v7().into_bytes())
    }

    /// A machine's own session of this number: whoever makes it from the same two makes the same.
    pub fn of_machine(machine: MachineId, number: u32) -> SessionId {
        // Told apart from the machine's id by a mark and by its version, the one for ids of one's own making; and from each
        // other by their beginning, as other sessions are.
        const MARK: u128 = 0x666c_6565_746d_7578 << 64;
        let mixed = u128::from_be_bytes(machine.0) ^ MARK ^ u128::from(number) << 80;
        let id = uuid::Builder::from_u128(mixed).with_version(uuid::Version::Custom);
        SessionId(id.with_variant(uuid::Variant::RFC4122).into_uuid().into_bytes())
    }
}

impl ClientId {
    /// A new one: 122 random bits.
    pub fn random() -> ClientId {
        ClientId(Uuid::new_v4().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_text_and_bytes() {
        let id = SessionId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(SessionId::from_bytes(id.as_bytes()), Ok(id));
        assert_eq!(SessionId::from_bytes(b"short"), Err(IdError("5 bytes".into())));
        assert!("not-an-id".parse::<MachineId>().is_err());
    }
}
