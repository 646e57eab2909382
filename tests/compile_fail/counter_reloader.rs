//! A counter in a closure would start anew with each reload.

//~ ` cannot be used as a reloader
//~ it must not change what it captured, nor move it out: clone it there
//~ to keep state between calls, capture an `Arc<Mutex<_>>` or an atomic in an `Arc`, or implement `Reloader` for a type of your own

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    let mut reloads = 0;
    reload.add(0, "counter", async move |_| {
        reloads += 1;
        println!("{reloads}");
    });
}

fn main() {}
