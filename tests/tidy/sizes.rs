//! How long a file may be. Functions are clippy's (`too_many_lines`).

use crate::source::Source;

/// Lines with code that a file may have besides its tests.
const CODE_WALL: usize = 500;
/// Lines of tests inside a file; more move to a `tests.rs` of their own.
const INLINE_TESTS_WALL: usize = 260;
/// Lines with code of a file that is tests as a whole.
const TEST_FILE_WALL: usize = 900;

pub fn problems(file: &Source) -> Vec<String> {
    let all = code_lines(&file.code());
    let production = code_lines(&file.production_code());
    let mut problems = Vec::new();
    let mut hold = |what: &str, lines: usize, wall: usize| {
        if lines > wall {
            problems.push(format!("{}: {lines} lines of {what}, the wall is {wall}", file.path));
        }
    };
    if production == 0 || !file.path.starts_with("src/") {
        hold("code", all, TEST_FILE_WALL);
    } else {
        hold("code", production, CODE_WALL);
        hold("inline tests", all - production, INLINE_TESTS_WALL);
    }
    problems
}

fn code_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

#[test]
fn a_file_past_the_wall_is_found() {
    let lines = |n: usize| "x();\n".repeat(n);
    let red = |path: &str, text: &str| problems(&Source::new(path, text)).len();
    assert_eq!(red("src/a.rs", &lines(CODE_WALL)), 0);
    assert_eq!(red("src/a.rs", &lines(CODE_WALL + 1)), 1);
    assert_eq!(red("src/a.rs", &"// x\n\n".repeat(CODE_WALL + 1)), 0);
    let tests = |n: usize| format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", lines(n));
    assert_eq!(red("src/a.rs", &tests(INLINE_TESTS_WALL - 3)), 0);
    assert_eq!(red("src/a.rs", &tests(INLINE_TESTS_WALL)), 1);
    assert_eq!(red("src/a/tests.rs", &lines(CODE_WALL + 1)), 0);
    assert_eq!(red("src/a/tests.rs", &lines(TEST_FILE_WALL + 1)), 1);
}
