//! A notifier has to say whether it worked: `Ok("name".into())`.

//~ error[E0271]: 
//~ found reference `&str`
//~ to implement `Notifier`

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    reload.on(async || "tick");
}

fn main() {}
