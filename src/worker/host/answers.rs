//! Where answers come from: the live kernel, or a folder in which they were recorded.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    model::record::read::ReadError,
    sys::{
        ethtool::{Ethtool, StringSet},
        route::RouteSocket,
    },
};

/// A text file above this is not what it should be.
const TEXT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A module's file, packed or not: the largest driver is some 10 MiB with debug information.
pub(super) const MODULE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The kernel says that there is no such thing here.
    #[error("not supported here")]
    NotSupported,
    /// A file that is not there; what that means, its reader knows.
    #[error("{0} is not there")]
    NotThere(String),
    /// It was refused, or went wrong.
    #[error("{0}")]
    Failed(String),
    /// There is one, and it is not understood.
    #[error(transparent)]
    Answer(#[from] ReadError),
}

impl AskError {
    /// For sources of which a missing file means that there is no such thing.
    pub(super) fn or_absent(self) -> Self {
        if matches!(self, Self::NotThere(_)) { Self::NotSupported } else { self }
    }

    fn of(doing: &str, error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EOPNOTSUPP) => Self::NotSupported,
            _ => Self::Failed(format!("{doing}: {error}")),
        }
    }
}

/// Where answers come from.
#[derive(Debug)]
pub(super) enum Answers {
    /// The kernel; the sockets belong to the namespace in which they were opened.
    Live {
        /// For the driver.
        ethtool: Ethtool,
        /// For rtnetlink.
        route: RouteSocket,
        /// The interface's index.
        index: u32,
    },
    /// A folder.
    Recorded {
        /// It stands for `/`, and has `answers/` besides.
        root: PathBuf,
    },
}

impl Answers {
    pub(super) fn live(iface: &str, index: u32) -> io::Result<Self> {
        Ok(Self::Live { ethtool: Ethtool::open(iface)?, route: RouteSocket::open()?, index })
    }

    /// An ethtool command's answer, by the name of its recording.
    pub(super) fn ethtool(&self, command: &str) -> Result<Vec<u8>, AskError> {
        let Self::Live { ethtool, .. } = self else { return self.recorded(&format!("ethtool-{command}")) };
        let answer = match command {
            "drvinfo" => ethtool.drvinfo(),
            "stats-strings" => ethtool.strings(StringSet::Stats),
            "stats" => ethtool.stats(),
            "feature-strings" => ethtool.strings(StringSet::Features),
            "features" => ethtool.features(),
            "rings" => ethtool.rings(),
            "channels" => ethtool.channels(),
            "coalesce" => ethtool.coalesce(),
            "pause" => ethtool.pause(),
            "link-settings" => ethtool.link_settings(),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        answer.map_err(|error| AskError::of(&format!("ethtool {command}"), &error))
    }

    pub(super) fn route_link(&self) -> Result<Vec<u8>, AskError> {
        self.route("link", |route, index| route.link(index))
    }

    pub(super) fn route_links(&self) -> Result<Vec<u8>, AskError> {
        self.route("links", |route, _| route.links())
    }

    pub(super) fn route_addresses(&self) -> Result<Vec<u8>, AskError> {
        self.route("addresses", |route, _| route.addresses())
    }

    pub(super) fn route_neighbours(&self) -> Result<Vec<u8>, AskError> {
        self.route("neighbours", |route, _| route.neighbours())
    }

    pub(super) fn route_qdiscs(&self) -> Result<Vec<u8>, AskError> {
        self.route("qdiscs", RouteSocket::qdiscs)
    }

    fn route(
        &self,
        kind: &str,
        ask: impl Fn(&RouteSocket, u32) -> io::Result<Vec<u8>>,
    ) -> Result<Vec<u8>, AskError> {
        match self {
            Self::Live { route, index, .. } => ask(route, *index)
                .map_err(|error| AskError::of(&format!("asking rtnetlink for {kind}"), &error)),
            Self::Recorded { .. } => self.recorded(&format!("route-{kind}")),
        }
    }

    /// A recorded answer: hexadecimal digits, or `errno N` for a refusal.
    fn recorded(&self, name: &str) -> Result<Vec<u8>, AskError> {
        let path = format!("answers/{name}.hex");
        let text = self.text(&path)?;
        if let Some(code) = text.trim().strip_prefix("errno ").and_then(|code| code.parse().ok()) {
            return Err(AskError::of(name, &io::Error::from_raw_os_error(code)));
        }
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        bytes.ok_or_else(|| AskError::Failed(format!("{path} is no list of hexadecimal digits")))
    }

    /// Where a file of the host lies.
    fn path(&self, path: &str) -> PathBuf {
        match self {
            // `/proc/net` is that of the process' first thread, which may be in another
            // network namespace.
            Self::Live { .. } => match path.strip_prefix("proc/net/") {
                Some(file) => Path::new("/proc/thread-self/net").join(file),
                None => Path::new("/").join(path),
            },
            Self::Recorded { root } => root.join(path),
        }
    }

    /// A text file of the host.
    pub(super) fn text(&self, path: &str) -> Result<String, AskError> {
        Ok(String::from_utf8_lossy(&self.file(path, TEXT_BYTES_MAX)?).into_owned())
    }

    /// A file of the host, of at most `bytes_max`.
    pub(super) fn file(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, AskError> {
        let failed = |error: io::Error| refusal(path, &error);
        let mut bytes = Vec::new();
        let file = fs::File::open(self.path(path)).map_err(failed)?;
        file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > bytes_max {
            return Err(AskError::Failed(format!("/{path} is above {bytes_max} bytes")));
        }
        Ok(bytes)
    }

    /// The names in a folder of the host, sorted.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, AskError> {
        let entries = fs::read_dir(self.path(path)).map_err(|error| refusal(path, &error))?;
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Whether something is there, behind links too.
    pub(super) fn is_there(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The last part of what a symbolic link points to.
    pub(super) fn link_name(&self, path: &str) -> Result<String, AskError> {
        let target = fs::read_link(self.path(path)).map_err(|error| refusal(path, &error))?;
        let name = target.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        name.ok_or_else(|| AskError::Failed(format!("/{path} points nowhere")))
    }
}

fn refusal(path: &str, error: &io::Error) -> AskError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => AskError::NotThere(format!("/{path}")),
        _ => AskError::of(&format!("cannot read /{path}"), error),
    }
}
