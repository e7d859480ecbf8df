//! A change of the fleet as it travels: encoded once, and shared by everybody whom it goes to.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

use super::v1;

/// The bytes of a [`v1::FleetEvent`]; clones share them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SharedFleetEvent {
    bytes: Bytes,
}

impl SharedFleetEvent {
    /// Encodes an event.
    pub fn new(event: &v1::FleetEvent) -> SharedFleetEvent {
        SharedFleetEvent { bytes: event.encode_to_vec().into() }
    }

    /// Whether both are the same bytes in memory.
    #[cfg(test)]
    pub(crate) fn is_shared_with(&self, other: &SharedFleetEvent) -> bool {
        self.bytes.as_ptr() == other.bytes.as_ptr()
    }

    /// The event.
    pub fn event(self) -> Result<v1::FleetEvent, DecodeError> {
        v1::FleetEvent::decode(self.bytes)
    }
}

impl Message for SharedFleetEvent {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.bytes);
    }

    /// Fields are read by [`SharedFleetEvent::event`]; `merge` takes them all at once.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, tag, buf, ctx)
    }

    fn merge(&mut self, mut buf: impl Buf) -> Result<(), DecodeError> {
        self.bytes = buf.copy_to_bytes(buf.remaining());
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes = Bytes::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_event_is_on_the_wire_what_the_event_is() {
        let removed = v1::fleet_event::Event::MachineRemoved(Bytes::from_static(&[7; 16]));
        let event = v1::FleetEvent { event: Some(removed) };
        let shared = SharedFleetEvent::new(&event);
        assert_eq!(shared.encode_to_vec(), event.encode_to_vec());
        let read = SharedFleetEvent::decode(&*event.encode_to_vec()).unwrap();
        assert_eq!(read, shared);
        assert_eq!(read.event().unwrap(), event);
    }
}
