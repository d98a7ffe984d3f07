//! The servers under load, each a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use hotshelf_benches::cpu;
use hotshelf_testkit::{free_port, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::load;

/// A start may have to open a database; an end has to drain.
const LIMIT: Duration = Duration::from_secs(60);
const NGINX: &str = "/usr/sbin/nginx";
const NGINX_MODULES: &str = "/usr/lib/nginx/modules";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    child: Child,
}

impl Server {
    fn start(
        name: &'static str,
        port: u16,
        probe: &str,
        command: &mut Command,
    ) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let mut server = Server { name, port, child };
        let mut ended = false;
        wait_until("the server answers", LIMIT, || {
            ended = server.child.try_wait().is_ok_and(|status| status.is_some());
            ended || load::get(port, probe).is_ok()
        });
        ensure!(!ended, "{name} has ended at once");
        Ok(server)
    }

    /// The process and its children, which do the work of some servers.
    pub(crate) fn pids(&self) -> anyhow::Result<Vec<u32>> {
        let mut pids = vec![self.child.id()];
        pids.extend(cpu::children(self.child.id())?);
        Ok(pids)
    }

    /// Processor time used so far.
    pub(crate) fn cpu_nanos(&self) -> anyhow::Result<f64> {
        self.pids()?.into_iter().map(cpu::nanos_of).sum()
    }

    /// Bytes of memory that the process itself has in use.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        let kibibytes = kibibytes.context("the kernel does not tell the resident memory")?;
        Ok(kibibytes.parse::<f64>()? * 1024.0)
    }

    /// The share of system time in all processor time so far.
    pub(crate) fn system_share(&self) -> anyhow::Result<f64> {
        let (mut user, mut system) = (0.0, 0.0);
        for pid in self.pids()? {
            let ticks = cpu::user_and_system_ticks(pid)?;
            user += ticks.0;
            system += ticks.1;
        }
        Ok(system / (user + system))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself.
            kill_process(pid, Signal::TERM).ok();
        }
        self.child.wait().ok();
    }
}

/// This program again, in another role.
pub(crate) fn own(
    name: &'static str,
    role: &str,
    file: &Path,
    count: usize,
    probe: &str,
) -> anyhow::Result<Server> {
    let port = free_port();
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(role)
        .arg(port.to_string())
        .arg(file)
        .arg(count.to_string());
    Server::start(name, port, probe, &mut command)
}

/// `hotshelf serve` over the SQLite database in a folder, with these `settings` besides.
pub(crate) fn hotshelf(
    name: &'static str,
    program: &Path,
    folder: &Path,
    settings: &[String],
    probe: &str,
) -> anyhow::Result<Server> {
    let (port, admin) = (free_port(), free_port());
    let mut command = Command::new(program);
    command.arg("serve").env_clear();
    for (key, value) in [
        ("node.data_dir", folder.display().to_string()),
        ("http.listen", format!("127.0.0.1:{port}")),
        ("admin.listen", format!("127.0.0.1:{admin}")),
        ("log.filter", "warn".to_owned()),
    ] {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    for setting in settings {
        command.arg("--set").arg(setting);
    }
    command.stdout(Stdio::null());
    Server::start(name, port, probe, &mut command)
}

/// nginx with documents in a shared dictionary of its Lua module; `None` when it is not installed.
pub(crate) fn nginx(
    folder: &Path,
    document: &Path,
    count: usize,
    probe: &str,
) -> anyhow::Result<Option<Server>> {
    let modules = ["ndk_http_module.so", "ngx_http_lua_module.so"]
        .map(|module| Path::new(NGINX_MODULES).join(module));
    if !Path::new(NGINX).is_file() || !modules.iter().all(|module| module.is_file()) {
        return Ok(None);
    }
    let port = free_port();
    let config = folder.join("nginx.conf");
    fs::write(&config, nginx_config(port, &modules, document, count))?;
    let mut command = Command::new(NGINX);
    let errors = File::create(folder.join("nginx.log"))?;
    command
        .arg("-p")
        .arg(folder)
        .arg("-e")
        .arg("stderr")
        .arg("-c")
        .arg(&config)
        .stderr(errors);
    Server::start("nginx, Lua shared dict", port, probe, &mut command).map(Some)
}

fn nginx_config(port: u16, modules: &[PathBuf], document: &Path, count: usize) -> String {
    let modules = modules
        .iter()
        .map(|module| format!("load_module {};\n", module.display()));
    let modules: String = modules.collect();
    let document = document.display();
    format!(
        r#"{modules}daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  lua_shared_dict documents 256m;
  init_by_lua_block {{
    local file = assert(io.open("{document}", "rb"))
    local document = file:read("*a")
    file:close()
    for number = 0, {count} - 1 do
      assert(ngx.shared.documents:set(string.format("SKU-%08d", number), document))
    end
  }}
  server {{
    listen 127.0.0.1:{port};
    location /v1/products/ {{
      content_by_lua_block {{
        local document = ngx.shared.documents:get(string.sub(ngx.var.uri, 14))
        if not document then return ngx.exit(404) end
        ngx.header.content_type = "application/json"
        ngx.header.content_length = #document
        ngx.print(document)
      }}
    }}
  }}
}}
"#
    )
}
