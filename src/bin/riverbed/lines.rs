//! Lines of an input, none longer than memory should hold.

use std::io::{self, BufRead, BufReader, Read};

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The line, without its end.
    Line,
    /// The line was longer than allowed; it has been read past.
    TooLong,
    /// There is no more.
    End,
}

/// Reads line by line. The last one needs no end.
#[derive(Debug)]
pub struct Lines<R> {
    input: BufReader<R>,
    len_max: usize,
}

impl<R: Read> Lines<R> {
    /// Lines of at most `len_max` bytes.
    pub fn new(input: R, len_max: usize) -> Self {
        Self { input: BufReader::with_capacity(1 << 16, input), len_max }
    }

    /// Reads the next line into `line`.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Next> {
        line.clear();
        let mut seen = 0_usize;
        loop {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            seen = seen.saturating_add(part.len());
            if seen <= self.len_max {
                line.extend_from_slice(part);
            }
            let (is_last, used) = (end.is_some() || chunk.is_empty(), part.len() + usize::from(end.is_some()));
            let is_end = chunk.is_empty() && seen == 0;
            self.input.consume(used);
            if is_last {
                return Ok(match () {
                    () if is_end => Next::End,
                    () if seen > self.len_max => Next::TooLong,
                    () => Next::Line,
                });
            }
        }
    }

    /// Whether the next line is not here yet, so that reading it may take a while.
    pub fn would_wait(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], len_max: usize) -> Vec<(Next, Vec<u8>)> {
        let mut lines = Lines::new(input, len_max);
        let mut all = Vec::new();
        loop {
            let mut line = Vec::new();
            let next = lines.next(&mut line).unwrap();
            if next == Next::End {
                return all;
            }
            all.push((next, line));
        }
    }

    #[test]
    fn lines_end_with_a_newline_or_the_input() {
        let line = |text: &[u8]| (Next::Line, text.to_vec());
        assert_eq!(read(b"", 9), []);
        assert_eq!(read(b"\n", 9), [line(b"")]);
        assert_eq!(read(b"a\n\nb\r\n\xff", 9), [line(b"a"), line(b""), line(b"b\r"), line(b"\xff")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_read_past() {
        let long = [vec![b'x'; 200_000], b"\nshort".to_vec()].concat();
        let read = read(&long, 100_000);
        assert_eq!((&read[0].0, &read[1].1[..]), (&Next::TooLong, &b"short"[..]));
        assert!(read[0].1.len() <= 100_000);
        assert_eq!(super::tests::read(b"123\n1234", 3)[1].0, Next::TooLong);
        assert_eq!(super::tests::read(b"123\n1234", 4)[1].0, Next::Line);
    }
}
