//! A closure that is not `async` itself may not count either.

//~ ` cannot be used as a reloader
//~ to keep state between calls, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Reloader` for a type of your own

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    let mut reloads = 0;
    reload.add(0, "counter", move |_| {
        reloads += 1;
        async move { println!("{reloads}") }
    });
}

fn main() {}
