//! Frames on the keeper's socket: a 4-byte big-endian length, then one message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// Largest frame; a longer one is a fault of the peer and ends the link. Keyframes with history stay below it.
pub const FRAME_CAP: usize = 64 * 1024 * 1024;
const HEADER: usize = 4;

/// A peer that does not keep to the format.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`FRAME_CAP`].
    #[error("a frame of {0} bytes is longer than {FRAME_CAP}")]
    TooLong(usize),
    /// Not the message that belongs here.
    #[error("malformed frame: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Appends a message as a frame.
pub fn encode_frame(message: &impl Message, out: &mut BytesMut) {
    let len = message.encoded_len();
    out.reserve(HEADER + len);
    out.put_u32(len as u32);
    // Encoding fails for lack of room only, and room was made.
    let _ = message.encode(out);
}

/// Takes the next whole frame from the front of `buffer`; `None` if it is not all there yet.
pub fn read_frame<M: Message + Default>(buffer: &mut BytesMut) -> Result<Option<M>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER>() else { return Ok(None) };
    let len = u32::from_be_bytes(*header) as usize;
    if len > FRAME_CAP {
        return Err(FrameError::TooLong(len));
    }
    if buffer.len() < HEADER + len {
        buffer.reserve(HEADER + len - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEADER);
    let frame: Bytes = buffer.split_to(len).freeze();
    Ok(Some(M::decode(frame)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1;

    #[test]
    fn a_frame_split_anywhere_is_read_whole() {
        let message = v1::Input { offset: 7, data: Bytes::from_static(b"hello") };
        let mut bytes = BytesMut::new();
        encode_frame(&message, &mut bytes);
        for cut in 0..bytes.len() {
            let mut buffer = BytesMut::from(&bytes[..cut]);
            assert!(read_frame::<v1::Input>(&mut buffer).unwrap().is_none());
            buffer.extend_from_slice(&bytes[cut..]);
            assert_eq!(read_frame::<v1::Input>(&mut buffer).unwrap(), Some(message.clone()));
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_malformed_or_oversized_frame_is_an_error() {
        let mut long = BytesMut::from(&b"\xff\xff\xff\xff"[..]);
        assert!(matches!(read_frame::<v1::Input>(&mut long), Err(FrameError::TooLong(_))));
        let mut junk = BytesMut::from(&b"\0\0\0\x02\xff\xff"[..]);
        assert!(matches!(read_frame::<v1::Input>(&mut junk), Err(FrameError::Malformed(_))));
    }
}
