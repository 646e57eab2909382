//! Where the frames of a WebSocket end: as much of RFC 6455, section 5.2 as is needed to put one
//! more frame between two others.

/// The opcode of a close frame.
const CLOSE: u8 = 8;

/// A position in a stream of frames.
#[derive(Default)]
pub(super) struct Frames {
    /// The beginning of a head that is not complete yet.
    head: Vec<u8>,
    /// What is still to come of the payload.
    payload: u64,
    have_closed: bool,
}

impl Frames {
    /// Whether the position is where a frame may begin.
    pub(super) fn is_between(&self) -> bool {
        self.head.is_empty() && self.payload == 0
    }

    /// Whether a close frame has begun: the last one.
    pub(super) fn have_closed(&self) -> bool {
        self.have_closed
    }

    /// Goes on over the whole piece; gives its length.
    pub(super) fn pass_all(&mut self, piece: &[u8]) -> usize {
        let mut passed = 0;
        while passed < piece.len() {
            passed += self.pass_one(&piece[passed..]);
        }
        passed
    }

    /// Goes on to the end of the frame, or of the piece; gives how far that is.
    pub(super) fn pass_one(&mut self, piece: &[u8]) -> usize {
        let mut passed = 0;
        if self.payload == 0 {
            while passed < piece.len() {
                self.head.push(piece[passed]);
                passed += 1;
                if let Some(payload) = payload(&self.head) {
                    self.have_closed |= self.head[0] & 0x0f == CLOSE;
                    self.head.clear();
                    self.payload = payload;
                    break;
                }
            }
        }
        let rest = (piece.len() - passed) as u64;
        let part = rest.min(self.payload);
        self.payload -= part;
        passed + usize::try_from(part).expect("a part of a slice")
    }
}

/// The length of the payload, if the head is complete.
fn payload(head: &[u8]) -> Option<u64> {
    let &[_, second, ref rest @ ..] = head else {
        return None;
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (length, extended) = match second & 0x7f {
        126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        short => (short.into(), 0),
    };
    (rest.len() >= extended + mask).then_some(length)
}
