//! Arguments that are not understood, calls for help.

use crate::program::run;

#[test]
fn what_is_not_understood_is_usage_with_status_2() {
    let lines: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["dump"],
        &["dump", "a", "b"],
        &["dump", "a", "--record"],
        &["dump", "a", "--records=1"],
        &["--frobnicate"],
        &["topic"],
        &["topic", "list"],
        &["topic", "create", "--dir", "d"],
        &["topic", "create", "t", "--partitions", "x", "--dir", "d"],
        &["topic", "create", "t", "--config", "x", "--dir", "d"],
        &["topic", "create", "t", "--config", "=x", "--dir", "d"],
        &["topic", "alter", "t", "--dir", "d"],
        &["produce", "--dir", "d"],
        &["produce", "t"],
        &["consume", "t"],
        &["verify"],
        &["verify", "x", "--dir", "d"],
        &["stats"],
        &["adopt"],
        &["flush"],
        &["truncate", "t", "0", "--dir", "d"],
        &["shell"],
        &["shell", "--clock=1", "--dir", "d"],
    ];
    for line in lines {
        let ran = run(*line);
        ran.failed(2, "Usage");
        let is_shell = line == &["shell"];
        assert_eq!(ran.out.is_empty(), !is_shell, "{line:?}: a shell answers its failure, too");
    }
}

#[test]
fn the_last_line_says_what_is_wrong() {
    let missing = "Usage: the following required arguments were not provided: <PATH>";
    assert_eq!(run(["dump"]).last_error(), missing);
    assert_eq!(run(["frobnicate"]).last_error(), "Usage: unrecognized subcommand 'frobnicate'");
    assert_eq!(run::<&str>([]).last_error(), "Usage: a command is missing");
    assert_eq!(run(["topic"]).last_error(), "Usage: a command is missing");
    assert_eq!(run(["stats"]).last_error(), "Usage: the data directory is missing: --dir DIR");
}

#[test]
fn help_and_version_go_to_standard_output() {
    for line in [["--help"].as_slice(), &["dump", "--help"], &["help"]] {
        assert!(run(line).good().contains("Usage: riverbed"), "{line:?}");
    }
    assert!(run(["--help"]).good().contains("Exit status: 0 done, 1 failed, 2 usage, 130 after an interrupt"));
    assert_eq!(run(["--version"]).good(), format!("riverbed {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_does_not_exist_yet_is_unsupported() {
    for line in [&["groups"][..], &["groups", "--group", "g"]] {
        run([line, &["--dir", "d"]].concat()).failed(1, "Unsupported");
        run(line).failed(2, "Usage");
    }
}
