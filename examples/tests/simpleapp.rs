//! The app of the article from end to end, as a process of its own (R15).

mod harness;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use harness::{Answer, Process, Signal, Upstream, command, request, send, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running simpleapp with a configuration file of its own.
struct App {
    process: Process,
    address: SocketAddr,
    file: File,
}

/// A configuration file in a directory of its own.
struct File {
    directory: TempDir,
    path: PathBuf,
}

impl File {
    fn new(content: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs::write(&path, content).unwrap();
        Self { directory, path }
    }

    fn write(&self, content: &impl ToString) {
        fs::write(&self.path, content.to_string()).unwrap();
    }

    /// As editors and `sed -i` save: into a new file that then takes the name of the old one.
    fn replace(&self, content: &impl ToString) {
        let new = self.directory.path().join("config.json.new");
        fs::write(&new, content.to_string()).unwrap();
        fs::rename(new, &self.path).unwrap();
    }
}

fn config(message: &str, url: &str) -> Value {
    json!({ "printer": { "message": message }, "curler": { "url": url } })
}

/// A configuration for tests that do not curl.
fn message(message: &str) -> Value {
    config(message, "http://127.0.0.1:9/")
}

impl App {
    fn start(config: &impl ToString) -> Self {
        let file = File::new(&config.to_string());
        let path = file.path.to_str().unwrap();
        let process = Process::start("simpleapp", ["-l", "127.0.0.1:0", "-c", path]);
        let address = process.address();
        Self {
            process,
            address,
            file,
        }
    }

    fn get(&self, path: &str) -> Answer {
        request("GET", self.address, path)
    }

    fn post(&self, path: &str) -> Answer {
        request("POST", self.address, path)
    }

    /// What `/print` returns, which is what it prints.
    fn print(&self) -> String {
        let answer = self.get("/print");
        assert_eq!(answer.status, 200);
        let message = answer.body.trim_end().to_owned();
        until("the message on standard output", || {
            self.process
                .stdout
                .all()
                .last()
                .filter(|last| **last == message)
                .map(drop)
        });
        message
    }

    fn until_it_prints(&self, message: &str) {
        until(&format!("`{message}` is printed"), || {
            (self.print() == message).then_some(())
        });
    }

    fn generation(&self) -> u64 {
        self.get("/-/status").json()["generation"].as_u64().unwrap()
    }

    /// The reports of all reloads so far, newest first.
    fn reports(&self) -> Vec<Value> {
        self.get("/-/status").json()["reports"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Ends the app and expects it to end well.
    fn ends_after(mut self, end: impl FnOnce(&Self)) {
        end(&self);
        assert_eq!(self.process.wait().code(), Some(0));
    }
}

/// What a report says about a component, or null.
fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps
        .iter()
        .find(|step| step["name"] == name)
        .unwrap_or(&Value::Null)
}

/// R15.
#[test]
fn sighup_changes_what_print_says() {
    let app = App::start(&message("before"));
    assert_eq!(app.print(), "before");

    app.file.write(&message("after"));
    app.process.signal(Signal::HUP);
    // The watcher may have been faster, and then this changes nothing.
    until("the signal reloads", || {
        let reports = app.reports();
        let mut by = reports.iter().map(|report| report["triggers"].to_string());
        by.any(|triggers| triggers.contains("sighup")).then_some(())
    });

    assert_eq!(app.print(), "after");
}

/// R15.
#[test]
fn an_http_request_changes_what_print_says() {
    let app = App::start(&message("before"));
    assert_eq!(app.print(), "before");

    app.file.write(&message("after"));
    let answer = app.post("/-/reload");

    assert_eq!(answer.status, 200, "{answer:?}");
    // The file is watched, so `file` may be a trigger of the same reload.
    let triggers = answer.json()["triggers"].as_array().unwrap().clone();
    assert!(triggers.contains(&"http".into()), "{answer:?}");
    assert_eq!(app.print(), "after");
}

/// R15.
#[test]
fn a_change_of_the_file_changes_what_print_says() {
    let app = App::start(&message("before"));
    assert_eq!(app.print(), "before");

    app.file.write(&message("after"));

    app.until_it_prints("after");
    assert!(
        app.reports()
            .iter()
            .all(|report| report["triggers"] == json!(["file"]))
    );
}

#[test]
fn every_save_by_rename_takes_effect() {
    let app = App::start(&message("first"));
    for text in ["second", "third", "fourth"] {
        app.file.replace(&message(text));
        app.until_it_prints(text);
    }
}

/// R15: a configuration that cannot be loaded is reported, and the old one stays.
#[test]
fn an_invalid_file_changes_nothing_and_the_caller_is_told_where_it_is_wrong() {
    let app = App::start(&message("before"));
    let generation = app.generation();
    let path = app.file.path.to_str().unwrap();

    let secret = "hunter2";
    for (invalid, place) in [
        // Not JSON.
        (format!("{{\n  \"printer\": {secret}\n}}"), "2:14"),
        // Not the type.
        (format!("{{\n  \"printer\": \"{secret}\"\n}}"), "2:14"),
        // An unknown key.
        (
            format!("{{ \"printer\": {{ \"message\": \"{secret}\",\n  \"massage\": 1 }} }}"),
            "2:3",
        ),
    ] {
        app.file.write(&invalid);
        let answer = app.post("/-/reload");

        assert_eq!(answer.status, 500, "{answer:?}");
        assert_eq!(answer.json()["outcome"], "rejected");
        assert_eq!(step(&answer.json(), "config")["action"], "failed");
        let error = answer.json().to_string();
        let place = format!("{path}:{place}");
        assert!(error.contains(&place), "no {place} in {error}");
        assert!(!error.contains(secret), "{error}");
        assert_eq!(app.print(), "before");
        assert_eq!(app.generation(), generation);
    }
    assert!(!app.process.stderr.text().contains(secret));

    app.file.write(&message("after"));
    app.until_it_prints("after");
}

/// A section that is well-formed, but that the component built from it refuses: the printer, whose
/// own section was good, is not changed either.
#[test]
fn a_component_that_refuses_its_section_refuses_the_whole_reload() {
    let app = App::start(&message("before"));

    app.file.write(&config("after", "hunter2"));
    let answer = app.post("/-/reload");

    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(step(&answer.json(), "curler")["action"], "failed");
    assert!(
        answer.json()["error"]
            .as_str()
            .unwrap()
            .contains("`url` is not a URL"),
        "{answer:?}"
    );
    assert!(!answer.body.contains("hunter2"), "{answer:?}");
    assert!(!app.process.stderr.text().contains("hunter2"));
    assert_eq!(app.print(), "before");
}

#[test]
fn a_check_says_what_a_reload_would_and_changes_nothing() {
    let app = App::start(&message("before"));

    app.file.write(&config("after", "no url"));
    let answer = app.post("/-/check");
    assert_eq!(answer.status, 500, "{answer:?}");

    let answer = app.post("/-/check");
    assert_eq!(answer.json()["check"], true);
    assert_eq!(app.print(), "before");
}

/// R15: the file first, then printer and curler.
#[test]
fn a_component_whose_section_did_not_change_is_reported_as_unchanged() {
    let app = App::start(&message("before"));

    app.file.write(&message("after"));
    app.until_it_prints("after");

    let reports = app.reports();
    let report = reports
        .iter()
        .find(|report| report["outcome"] == "applied")
        .unwrap();
    assert_eq!(report["steps"][0]["name"], "config");
    assert_eq!(step(report, "config")["action"], "rebuilt");
    assert_eq!(step(report, "printer")["action"], "rebuilt");
    assert_eq!(step(report, "curler")["action"], "unchanged");
}

#[test]
fn each_reload_is_one_line_in_the_log() {
    let app = App::start(&message("before"));

    let answer = app.post("/-/reload");
    assert_eq!(answer.json()["outcome"], "unchanged");
    app.file.write(&message("after"));
    app.until_it_prints("after");

    let applied = app.process.stderr.wait_for("applied");
    for part in [
        "triggers=",
        "generation=",
        "rebuilt=config,printer",
        "unchanged=curler",
        "took=",
    ] {
        assert!(applied.contains(part), "no {part} in: {applied}");
    }
    until("one line for each report of a change", || {
        let reports = app.reports();
        let changes = reports
            .iter()
            .filter(|report| report["outcome"] == "applied");
        (app.process.stderr.with("triggers=").len() == changes.count()).then_some(())
    });
}

#[test]
fn curl_returns_what_the_upstream_answers() {
    let upstream = Upstream::start();
    let mut config = config("", &upstream.url);
    config["curler"]["method"] = "OPTIONS".into();
    config["curler"]["headers"] = json!({ "x-asked-by": "simpleapp" });
    let app = App::start(&config);

    let sent = send("GET", app.address, "/curl", "");
    let (head, answer) = upstream.received();
    assert!(head.starts_with("OPTIONS / HTTP/1.1"), "{head}");
    assert!(head.contains("x-asked-by: simpleapp"), "{head}");
    answer("x-answered-by: upstream\r\n");

    let answer = sent.receive();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["status"], 200);
    assert_eq!(
        answer.json()["headers"]["x-answered-by"],
        json!(["upstream"])
    );
}

/// R16.
#[test]
fn the_file_of_the_article_is_a_valid_configuration() {
    let message = "I'm Guybrush Threepwood, Mighty Pirate™!";
    let mut article = json!({
        "printer": { "message": message },
        "curler": { "httpMethod": "GET", "url": "https://github.com" },
    });
    let app = App::start(&article);
    assert_eq!(app.print(), message);

    // The keys mean what they say.
    let upstream = Upstream::start();
    article["curler"] = json!({ "httpMethod": "OPTIONS", "url": upstream.url });
    app.file.write(&article);
    assert_eq!(app.post("/-/reload").status, 200);
    let sent = send("GET", app.address, "/curl", "");
    let (head, answer) = upstream.received();
    assert!(head.starts_with("OPTIONS / HTTP/1.1"), "{head}");
    answer("");
    assert_eq!(sent.receive().status, 200);

    // `method` is the same key, so both are one too many.
    article["curler"]["method"] = "GET".into();
    app.file.write(&article);
    let answer = app.post("/-/reload");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(
        answer.body.contains("duplicate field `httpMethod`"),
        "{answer:?}"
    );
}

#[test]
fn curl_says_why_the_upstream_did_not_answer() {
    // A listener that has gone: nobody else gets its port so soon.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let app = App::start(&config(
        "",
        &format!("http://127.0.0.1:{port}/?token=hunter2"),
    ));

    let answer = app.get("/curl");

    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(
        answer.json()["error"].as_str().unwrap().contains("refused"),
        "{answer:?}"
    );
    assert!(!answer.body.contains("hunter2"), "{answer:?}");
}

/// R15: SIGTERM and SIGINT end everything cleanly.
#[test]
fn sigterm_sigint_and_stop_end_the_app_with_code_0() {
    App::start(&message("")).ends_after(|app| app.process.signal(Signal::TERM));
    App::start(&message("")).ends_after(|app| app.process.signal(Signal::INT));
    App::start(&message("")).ends_after(|app| assert_eq!(app.post("/-/stop").status, 200));
}

#[test]
fn stop_is_refused_to_pages_of_others() {
    let app = App::start(&message(""));
    let sent = send(
        "POST",
        app.address,
        "/-/stop",
        "origin: http://evil.example\r\n",
    );
    assert_eq!(sent.receive().status, 403);
    let sent = send(
        "POST",
        app.address,
        "/-/reload",
        "origin: http://evil.example\r\n",
    );
    assert_eq!(sent.receive().status, 403);
    assert_eq!(app.get("/-/stop").status, 405);
    assert_eq!(app.get("/-/status").status, 200);
}

#[test]
fn a_request_under_way_is_answered_before_the_app_ends() {
    for signal in [Signal::TERM, Signal::INT] {
        let upstream = Upstream::start();
        let mut app = App::start(&config("", &upstream.url));
        let sent = send("GET", app.address, "/curl", "");
        let (_, answer) = upstream.received();

        app.process.signal(signal);
        until("nobody else is let in", || {
            std::net::TcpStream::connect(app.address).err().map(drop)
        });
        answer("");

        assert_eq!(sent.receive().status, 200);
        assert_eq!(app.process.wait().code(), Some(0));
    }
}

#[test]
fn a_reload_neither_waits_for_a_request_under_way_nor_disturbs_it() {
    let upstream = Upstream::start();
    let app = App::start(&config("before", &upstream.url));
    let sent = send("GET", app.address, "/curl", "");
    let (_, answer) = upstream.received();

    app.file.write(&message("after"));
    assert_eq!(app.post("/-/reload").status, 200);
    assert_eq!(app.print(), "after");
    answer("x-answered-by: upstream\r\n");

    let headers = &sent.receive().json()["headers"];
    assert_eq!(headers["x-answered-by"], json!(["upstream"]));
}

#[test]
fn a_second_signal_ends_the_app_although_a_request_is_under_way() {
    let upstream = Upstream::start();
    let mut app = App::start(&config("", &upstream.url));
    let _sent = send("GET", app.address, "/curl", "");
    let _upstream = upstream.received();

    app.process.signal(Signal::TERM);
    until("nobody else is let in", || {
        std::net::TcpStream::connect(app.address).err().map(drop)
    });
    app.process.signal(Signal::TERM);

    assert_eq!(app.process.wait().code(), Some(128 + 15));
}

/// Starts the app with what cannot work; gives the one line that it says.
fn refusal(mut command: std::process::Command) -> String {
    let mut process = Process::spawn(&mut command);
    assert_eq!(process.wait().code(), Some(1));
    let lines = process.stderr.to_the_end();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap()
}

#[test]
fn a_file_that_is_missing_or_invalid_at_start_is_one_readable_line_and_code_1() {
    let start = |path: &PathBuf| {
        let mut command = command("simpleapp");
        command.args(["-l", "127.0.0.1:0", "-c"]).arg(path);
        refusal(command)
    };

    let missing = PathBuf::from("/nowhere/config.json");
    let line = start(&missing);
    assert!(
        line.starts_with("simpleapp: component `config` could not be built: "),
        "{line}"
    );
    assert!(line.contains("/nowhere/config.json"), "{line}");

    let file = File::new("{\n  \"printer\": { \"message\": hunter2 }\n}\n");
    let line = start(&file.path);
    assert!(
        line.contains(&format!("{}:2:", file.path.display())),
        "{line}"
    );
    assert!(!line.contains("hunter2"), "{line}");

    let file = File::new(&config("", "ftp://hunter2@localhost/").to_string());
    let line = start(&file.path);
    assert!(
        line.starts_with("simpleapp: component `curler` could not be built: "),
        "{line}"
    );
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn an_address_in_use_is_one_readable_line_and_code_1() {
    let app = App::start(&message(""));
    let address = app.address.to_string();

    let mut command = command("simpleapp");
    command.args(["-l", &address, "-c"]).arg(&app.file.path);
    let line = refusal(command);

    assert!(
        line.starts_with(&format!("simpleapp: cannot listen on {address}: ")),
        "{line}"
    );
}

#[test]
fn flags_win_over_the_environment() {
    let by_environment = File::new(&message("by environment").to_string());
    let by_flag = File::new(&message("by flag").to_string());

    let start = |args: &[&str]| {
        let mut command = command("simpleapp");
        command.env("SIMPLEAPP_CONFIGURATION_PATH", &by_environment.path);
        command.env("SIMPLEAPP_LISTEN_ADDRESS", "127.0.0.1:0");
        Process::spawn(command.args(args))
    };
    let app = start(&[]);
    assert_eq!(
        request("GET", app.address(), "/print").body,
        "by environment\n"
    );
    let path = by_flag.path.to_str().unwrap();
    let app = start(&["--configuration-path", path, "--listen-address", "[::1]:0"]);
    assert!(app.address().is_ipv6());
    assert_eq!(request("GET", app.address(), "/print").body, "by flag\n");
}

#[test]
fn help_names_the_flags_their_variables_and_their_defaults() {
    let output = command("simpleapp").arg("--help").output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for part in [
        "-c, --configuration-path",
        "-l, --listen-address",
        "SIMPLEAPP_CONFIGURATION_PATH",
        "SIMPLEAPP_LISTEN_ADDRESS",
        "127.0.0.1:8080",
        "simpleapp/config.json",
    ] {
        assert!(help.contains(part), "no {part} in:\n{help}");
    }
}

/// The file that is used when none is named has to work.
#[test]
fn the_config_beside_the_app_is_the_default() {
    let app = Process::start("simpleapp", ["-l", "127.0.0.1:0"]);
    let answer = request("GET", app.address(), "/print");
    assert_eq!(answer.body, "I'm Guybrush Threepwood, Mighty Pirate™!\n");
}
