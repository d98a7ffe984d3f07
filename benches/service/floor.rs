//! The floor: a loop around epoll that answers everything with the same bytes, with one read and one write for a request.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use anyhow::Context;
use rustix::event::epoll;

use crate::load;

const LISTENER: u64 = u64::MAX;
const EVENTS_MAX: usize = 256;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Serves the bytes of a file until the process is ended.
pub(crate) fn serve(port: u16, answer: &Path) -> anyhow::Result<()> {
    let answer = fs::read(answer).context("reading the answer")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).context("listening")?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let add = |source: &dyn std::os::fd::AsFd, number: u64| {
        let data = epoll::EventData::new_u64(number);
        epoll::add(&poll, source.as_fd(), data, epoll::EventFlags::IN)
    };
    add(&listener, LISTENER)?;
    let mut clients: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let mut buffer = vec![0; 16 << 10];
    loop {
        load::wait(&poll, &mut events, false)?;
        for event in events.drain(..) {
            let number = event.data.u64();
            if number == LISTENER {
                let (client, _) = listener.accept()?;
                client.set_nodelay(true)?;
                client.set_nonblocking(true)?;
                add(&client, clients.len() as u64)?;
                clients.push(Some(client));
                continue;
            }
            let place = &mut clients[usize::try_from(number)?];
            let stays = place
                .as_mut()
                .is_some_and(|client| answer_one(client, &mut buffer, &answer).is_ok());
            if !stays {
                *place = None;
            }
        }
    }
}

fn answer_one(client: &mut TcpStream, buffer: &mut [u8], answer: &[u8]) -> std::io::Result<()> {
    let length = client.read(buffer)?;
    if length == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    // A request comes whole: the load sends each with one write.
    if buffer[..length].ends_with(END_OF_HEAD) {
        client.write_all(answer)?;
    }
    Ok(())
}
