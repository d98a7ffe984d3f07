//! An HTTP/1.1 client that sends exactly what it is told to, also what is malformed, and decodes no content coding.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer of a healthy node takes, so that one that never comes fails the test.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a node listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// A port on 127.0.0.1.
    Tcp(u16),
    /// A socket file.
    Unix(PathBuf),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// A header's value.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn must(&self, name: &str) -> &str {
        self.header(name)
            .unwrap_or_else(|| panic!("the answer has no {name}: {self}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The code of a problem.
    ///
    /// # Panics
    /// When the body is no problem.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self}"
        );
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Which tier answered: the `detail` of `Cache-Status`.
    pub fn tier(&self) -> &str {
        let status = self.header("cache-status").unwrap_or_default();
        status
            .split(';')
            .find_map(|part| part.trim().strip_prefix("detail="))
            .unwrap_or_default()
    }

    /// The seconds for which the answer stays fresh according to `Cache-Status`; negative when it is stale.
    pub fn ttl(&self) -> Option<i64> {
        let status = self.header("cache-status")?;
        let ttl = status
            .split(';')
            .find_map(|part| part.trim().strip_prefix("ttl="))?;
        ttl.parse().ok()
    }

    /// Whether the answer is labelled stale.
    pub fn is_stale(&self) -> bool {
        self.header("hotshelf-stale").is_some()
    }

    /// The same answer, of which the status is certain.
    ///
    /// # Panics
    /// When the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        let text = self.text();
        write!(f, "\n{}", text.chars().take(600).collect::<String>())
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// When the connection is refused or breaks off.
pub fn request(
    address: &Address,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Reply> {
    let mut connection = Connection::open(address)?;
    let mut headers = headers.to_vec();
    headers.push(("connection", "close"));
    connection.send(method, target, &headers, body)?;
    connection.read_reply(method)
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(buffer),
            Stream::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.flush(),
            Stream::Unix(stream) => stream.flush(),
        }
    }
}

/// A connection that can be used for several requests.
#[derive(Debug)]
pub struct Connection(BufReader<Stream>);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(address: &Address) -> io::Result<Self> {
        let stream = match address {
            Address::Tcp(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(READ_TIMEOUT))?;
                stream.set_write_timeout(Some(READ_TIMEOUT))?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(READ_TIMEOUT))?;
                Stream::Unix(stream)
            }
        };
        Ok(Connection(BufReader::new(stream)))
    }

    /// Gives up an answer that does not come within this, instead of the long time that tests of single answers have.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn wait_at_most(&self, limit: Duration) -> io::Result<()> {
        match self.0.get_ref() {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(limit)),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Sends a request. The target is sent as it is; a body brings its `Content-Length`.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: hotshelf.test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send_raw(&bytes)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn finish_sending(&self) -> io::Result<()> {
        match self.0.get_ref() {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Reads one answer to a request of that method.
    ///
    /// # Errors
    /// `UnexpectedEof` when the connection ends before a whole answer, `ConnectionAborted` when it ends before the first byte.
    pub fn read_reply(&mut self, method: &str) -> io::Result<Reply> {
        let line = self.read_line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("no status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line().map_err(cut_short)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| invalid(format!("no header: {line:?}")))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut reply = Reply {
            status,
            headers,
            body: Vec::new(),
        };
        if method != "HEAD" && status != 304 && status != 204 && status >= 200 {
            reply.body = self.read_body(&reply)?;
        }
        Ok(reply)
    }

    /// Waits until the other side closes the connection; gives what it sent before.
    ///
    /// # Errors
    /// When it does not within the time that an answer may take.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(bytes),
            Err(error) => Err(error),
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        if self.0.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8(line).map_err(|error| invalid(error.to_string()))?;
        Ok(line.trim_end_matches('\r').to_owned())
    }

    fn read_body(&mut self, reply: &Reply) -> io::Result<Vec<u8>> {
        if let Some(length) = reply.header("content-length") {
            let length = length
                .parse()
                .map_err(|_| invalid(format!("bad length {length}")))?;
            let mut body = vec![0; length];
            self.0.read_exact(&mut body)?;
            return Ok(body);
        }
        if reply.header("transfer-encoding").is_some() {
            return self.read_chunks();
        }
        let mut body = Vec::new();
        self.0.read_to_end(&mut body)?;
        Ok(body)
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line().map_err(cut_short)?;
            let length = usize::from_str_radix(line.trim(), 16)
                .map_err(|_| invalid(format!("bad chunk {line:?}")))?;
            let mut chunk = vec![0; length + 2];
            self.0.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk[..length]);
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Within an answer the end of the connection is always too early.
fn cut_short(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return io::ErrorKind::UnexpectedEof.into();
    }
    error
}
