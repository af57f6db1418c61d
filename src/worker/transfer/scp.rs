//! A real file through the system's OpenSSH: what production does when it breaks a card.
//!
//! `source` runs the system's `sftp`, which moves files as `scp` does since OpenSSH 9 (and
//! unlike `scp`, in the same way in all versions); `sink` runs an `sshd` of its own for each
//! connection; `keys` are theirs; `settings` is what both are told; `tools` is where they are.
//!
//! One sshd a connection (`sshd -i`), and not one a worker: the listening socket is ours, so
//! it is bound to the card, its port is known at once, and nothing needs to be waited for,
//! shared or cleaned up between flows.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::{io::AsyncReadExt as _, process::ChildStderr, task::JoinHandle, time::timeout};

pub mod keys;
pub mod settings;
pub mod sink;
pub mod source;
pub mod tools;

pub use sink::sink;
pub use source::source;

/// How often processes, sockets and the lease are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Of what a program says, so much is kept.
const SAID_MAX_BYTES: usize = 16 * 1024;

/// After a program's end its last words are there; a child of it that lives on may hold the
/// pipe open.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What a program says on stderr.
struct Said {
    text: Rc<RefCell<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Said {
    fn of(stderr: Option<ChildStderr>) -> Self {
        let text = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&text);
        let reading = tokio::task::spawn_local(async move {
            let Some(mut stderr) = stderr else { return };
            let mut room = [0; 1024];
            // Read to its end also when no more is kept: the program must not wait for us.
            while let Ok(length @ 1..) = stderr.read(&mut room).await {
                let left = SAID_MAX_BYTES.saturating_sub(kept.borrow().len());
                kept.borrow_mut().extend(&room[..length.min(left)]);
            }
        });
        Self { text, reading }
    }

    /// All of it; to be asked for after the program's end.
    async fn text(self) -> String {
        let _ = timeout(LAST_WORDS, self.reading).await;
        String::from_utf8_lossy(&self.text.borrow()).into_owned()
    }
}
