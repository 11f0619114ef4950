//! Runs the program.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
    pub bytes: Vec<u8>,
}

impl Ran {
    /// The last line of standard error: `kind: message` if the run failed.
    pub fn last_error(&self) -> &str {
        self.err.lines().last().unwrap_or_default()
    }

    /// Standard output of a run that must have gone well, without a word on standard error but what `verify` has read.
    pub fn good(self) -> String {
        let err: Vec<&str> = self.err.lines().filter(|line| !line.starts_with("verified ")).collect();
        assert_eq!((self.status, err), (0, Vec::new()), "{}", self.out);
        self.out
    }

    /// Asserts how the run failed.
    pub fn failed(&self, status: i32, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.last_error().starts_with(&format!("{kind}: ")), "{self:?}");
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }
}

/// The program, not yet started.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_riverbed"))
}

/// Runs the program to its end.
pub fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ran {
    program().args(args).output().unwrap().into()
}

/// Runs the program to its end, in `directory`.
pub fn run_in<A: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = A>) -> Ran {
    program().current_dir(directory).args(args).output().unwrap().into()
}

/// Sends what ctrl-C sends.
pub fn interrupt(id: u32) {
    assert!(Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
}

/// Each line of an output, as JSON.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// Runs the program to its end with some standard input.
pub fn run_with<A: AsRef<OsStr>>(input: impl AsRef<[u8]>, args: impl IntoIterator<Item = A>) -> Ran {
    let mut child =
        program().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    // A program that ends early reads no further.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.into()
}

/// A running `riverbed shell`.
#[derive(Debug)]
pub struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Shell {
    /// Starts one on `directory`.
    pub fn open(directory: &Path, options: &[&str]) -> Self {
        let mut child = program()
            .args(["shell", "--dir"])
            .arg(directory)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Starts one that must fail, and gives its only answer.
    pub fn refused(directory: &Path, options: &[&str]) -> Value {
        let mut shell = Self::open(directory, options);
        let answer = shell.read_answer();
        let ran = shell.end();
        assert_eq!(ran.status, 1, "{ran:?}");
        answer.strip_prefix("err ").map(|text| serde_json::from_str(text).unwrap()).unwrap()
    }

    /// Gives a line without waiting for its answer.
    pub fn give(&mut self, line: impl AsRef<[u8]>) {
        let input = self.input.as_mut().unwrap();
        input.write_all(&[line.as_ref(), b"\n"].concat()).unwrap();
    }

    fn read_answer(&mut self) -> String {
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert!(answer.ends_with('\n'), "an answer is a whole line: {answer:?}");
        answer.pop();
        answer
    }

    /// The answer to a line, as it stands.
    pub fn answer(&mut self, line: impl AsRef<[u8]>) -> String {
        self.give(line);
        self.read_answer()
    }

    /// The fields of a line's good answer.
    pub fn ok(&mut self, line: &str) -> Value {
        let answer = self.answer(line);
        let fields = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{line}: {answer}"));
        serde_json::from_str(fields).unwrap()
    }

    /// The fields of a line's bad answer, which must be of a kind.
    pub fn err(&mut self, line: impl AsRef<[u8]>, kind: &str) -> Value {
        let answer = self.answer(line.as_ref());
        let line = String::from_utf8_lossy(line.as_ref());
        let fields = answer.strip_prefix("err ").unwrap_or_else(|| panic!("{line}: {answer}"));
        let fields: Value = serde_json::from_str(fields).unwrap();
        assert_eq!(fields["kind"], kind, "{line}: {fields}");
        fields
    }

    /// Ends the input, which is `quit` without an answer.
    pub fn end(mut self) -> Ran {
        drop(self.input.take());
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        let mut ran = Ran::from(self.child.wait_with_output().unwrap());
        ran.out = String::from_utf8_lossy(&rest).into_owned();
        ran
    }

    /// Leaves in order.
    pub fn quit(mut self) {
        assert_eq!(self.answer("quit"), "ok {}");
        let ran = self.end();
        let err: Vec<&str> = ran.err.lines().filter(|line| !line.starts_with("recovered: ")).collect();
        assert_eq!((ran.status, ran.out.as_str(), err), (0, "", Vec::new()));
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}
