//! The gateway: where it may put a frame of its own into a WebSocket.

// The file itself: an example has no library to test, and cargo does not run tests inside of it.
#[path = "../gateway/tunnel/frames.rs"]
mod frames;

use frames::Frames;

#[test]
fn a_frame_ends_at_its_length_however_it_is_cut_into_pieces() {
    let mut stream = vec![0x81, 2, b'h', b'i'];
    stream.extend([0x82, 126, 1, 0]);
    stream.extend([7; 256]);
    stream.extend([0x89, 0x80, 1, 2, 3, 4]);
    let ends = [4, 4 + 4 + 256, stream.len()];
    for size in [1, 2, 3, 5, 64, stream.len()] {
        let mut frames = Frames::default();
        let mut position = 0;
        for mut piece in stream.chunks(size) {
            while !piece.is_empty() {
                let passed = frames.pass_one(piece);
                position += passed;
                piece = &piece[passed..];
                assert_eq!(frames.is_between(), ends.contains(&position), "{position}");
            }
        }
        assert_eq!(position, stream.len());
        assert_eq!(Frames::default().pass_all(&stream), stream.len());
    }
}

#[test]
fn a_close_frame_is_the_last_one() {
    let mut frames = Frames::default();
    frames.pass_all(&[0x81, 2, b'h', b'i', 0x89, 0]);
    assert!(!frames.have_closed());
    // The reason of the close comes later.
    frames.pass_all(&[0x88, 2]);
    assert!(frames.have_closed());
    frames.pass_all(&[3, 0xe8]);
    assert!(frames.have_closed() && frames.is_between());
}
