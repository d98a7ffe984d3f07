//! The sockets that are listened on: TCP, or a socket in the file system.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hotshelf_model::{Error, ErrorKind};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// Where to listen: `127.0.0.1:7400`, `[::1]:7400` or `unix:/run/hotshelf.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(ListenAddress::Unix(PathBuf::from(path)));
        }
        text.parse().map(ListenAddress::Tcp).map_err(|error: std::net::AddrParseError| {
            let context = format!("reading the address `{text}` (expected `127.0.0.1:7400`, `[::1]:7400` or `unix:/path`)");
            Error::new(ErrorKind::Invalid, context).with_source(error)
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket. A socket in the file system is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: ListenAddress,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Binds. A socket file that a dead process left is replaced; that of a living one, or another file, is not.
    ///
    /// # Errors
    /// `Unavailable` when the address is taken or not this machine's, or the path cannot be written.
    pub fn bind(address: &ListenAddress, backlog: u32) -> Result<Self, Error> {
        let bound = match address {
            ListenAddress::Tcp(address) => bind_tcp(*address, backlog),
            ListenAddress::Unix(path) => bind_unix(path),
        };
        let (socket, address) = bound.map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("binding `{address}`")).with_source(error)
        })?;
        Ok(Listener { socket, address })
    }

    /// Where it listens, with the port that the kernel chose.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _peer) = listener.accept().await?;
                // An answer is one write; waiting for more to send would only delay it. A client that is gone by now is
                // found out by the first read.
                stream.set_nodelay(true).ok();
                Ok(Stream::Tcp(stream))
            }
            Socket::Unix(listener) => listener
                .accept()
                .await
                .map(|(stream, _peer)| Stream::Unix(stream)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let ListenAddress::Unix(path) = &self.address {
            std::fs::remove_file(path).ok();
        }
    }
}

fn bind_tcp(address: SocketAddr, backlog: u32) -> io::Result<(Socket, ListenAddress)> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // Without this a restart would have to wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(backlog)?;
    let address = ListenAddress::Tcp(listener.local_addr()?);
    Ok((Socket::Tcp(listener), address))
}

fn bind_unix(path: &Path) -> io::Result<(Socket, ListenAddress)> {
    remove_dead_socket(path)?;
    let listener = UnixListener::bind(path)?;
    Ok((Socket::Unix(listener), ListenAddress::Unix(path.to_owned())))
}

fn remove_dead_socket(path: &Path) -> io::Result<()> {
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["127.0.0.1:7400", "[::1]:0", "unix:/run/hotshelf.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["", "localhost", "7400", "unix:", "127.0.0.1"] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let address = ListenAddress::Unix(folder.path().join("socket"));
        let ListenAddress::Unix(path) = &address else {
            unreachable!()
        };
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        let listener = Listener::bind(&address, 16).unwrap();
        assert!(Listener::bind(&address, 16).is_err(), "it lives");
        drop(listener);
        assert!(!path.try_exists().unwrap(), "removed with its listener");
        std::fs::write(path, "a file").unwrap();
        assert!(
            Listener::bind(&address, 16).is_err(),
            "another file is left alone"
        );
    }
}
