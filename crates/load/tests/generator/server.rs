//! A server that answers as it is told to, one thread for each connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// What to do with a request.
pub(crate) enum Reply {
    /// Sends these bytes.
    Bytes(String),
    /// Sends these bytes and closes the connection.
    Last(String),
    /// Answers nothing until the client goes away.
    Never,
}

/// An answer of hotshelf's, with a body of ten bytes.
pub(crate) fn ok(more_headers: &str) -> Reply {
    Reply::Bytes(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n{more_headers}\r\n0123456789"
    ))
}

pub(crate) fn status(status: u16) -> Reply {
    Reply::Bytes(format!(
        "HTTP/1.1 {status} Word\r\nContent-Length: 0\r\n\r\n"
    ))
}

#[derive(Default)]
struct Seen {
    heads: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

/// Ends with the test's process.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Seen>,
}

impl Server {
    /// `behave` gets the number of the request, from 0, and its path; it may take its time.
    pub(crate) fn start(behave: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        Self::accepting(usize::MAX, behave)
    }

    /// Takes so many connections and then refuses more.
    pub(crate) fn accepting(
        connections: usize,
        behave: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, behave) = (Arc::<Seen>::default(), Arc::new(behave));
        let server = Server {
            url,
            seen: Arc::clone(&seen),
        };
        let begin = move |stream: io::Result<TcpStream>| {
            let (seen, behave) = (Arc::clone(&seen), Arc::clone(&behave));
            seen.connections.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || serve(stream.unwrap(), &seen, &*behave));
        };
        std::thread::spawn(move || match connections {
            usize::MAX => listener.incoming().for_each(begin),
            _ => {
                let accepted: Vec<_> = listener.incoming().take(connections).collect();
                // Gone before the first answer, so that who comes again is refused.
                drop(listener);
                accepted.into_iter().for_each(begin);
            }
        });
        server
    }

    /// The heads of all requests, in the order in which they came.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().clone()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.heads()
            .iter()
            .map(|head| path(head).to_owned())
            .collect()
    }

    /// Connections that were opened.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

fn serve(stream: TcpStream, seen: &Seen, behave: &dyn Fn(usize, &str) -> Reply) {
    let mut writer = stream.try_clone().unwrap();
    writer.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or_default() == 0 {
                return;
            }
        }
        let number = {
            let mut heads = seen.heads.lock();
            heads.push(head.clone());
            heads.len() - 1
        };
        match behave(number, path(&head)) {
            Reply::Bytes(bytes) => drop(writer.write_all(bytes.as_bytes())),
            Reply::Last(bytes) => return drop(writer.write_all(bytes.as_bytes())),
            Reply::Never => return drop(reader.read_to_end(&mut Vec::new())),
        }
    }
}
