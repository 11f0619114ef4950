//! The state of a disk, and the events that change it.

use std::fmt;

use bytes::Bytes;

use super::file::{File, Part};
use super::names::{Change, Folder};
use crate::io::{PowerIdentity, Way};
use crate::sync::Arc;

/// A file or directory, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(usize);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl NodeId {
    pub(super) const ROOT: NodeId = NodeId(0);

    pub(super) const fn at(index: usize) -> Self {
        Self(index)
    }

    pub(super) const fn index(self) -> usize {
        self.0
    }
}

/// What a [`NodeId`] stands for.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File(File),
    Folder(Folder),
}

/// One thing that happened to the disk. A disk's history is a list of these.
#[derive(Clone, Debug)]
pub(super) enum Event {
    CreateFile { folder: NodeId, name: Arc<str> },
    CreateFolder { folder: NodeId, name: Arc<str> },
    Rename { folder: NodeId, from: Arc<str>, to: Arc<str> },
    Remove { folder: NodeId, name: Arc<str> },
    SyncFolder { folder: NodeId },
    FailSyncFolder { folder: NodeId },
    Store { file: NodeId, at: u64, bytes: Bytes, part: Part, way: Way },
    SetLen { file: NodeId, len: u64 },
    SyncFile { file: NodeId },
    FailSyncFile { file: NodeId },
    Flip { file: NodeId, at: u64, bit: u8 },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::CreateFile { folder, name } => write!(f, "create {name} in {folder}"),
            Event::CreateFolder { folder, name } => write!(f, "create directory {name} in {folder}"),
            Event::Rename { folder, from, to } => write!(f, "rename {from} to {to} in {folder}"),
            Event::Remove { folder, name } => write!(f, "remove {name} from {folder}"),
            Event::SyncFolder { folder } => write!(f, "sync directory {folder}"),
            Event::FailSyncFolder { folder } => write!(f, "fail to sync directory {folder}"),
            Event::Store { file, at, bytes, part, way } => {
                write!(f, "store {} bytes at {at} of {file} ({part:?}, {way:?})", bytes.len())
            }
            Event::SetLen { file, len } => write!(f, "set the length of {file} to {len}"),
            Event::SyncFile { file } => write!(f, "sync {file}"),
            Event::FailSyncFile { file } => write!(f, "fail to sync {file}"),
            Event::Flip { file, at, bit } => write!(f, "flip bit {bit} of byte {at} of {file}"),
        }
    }
}

impl Event {
    pub(super) fn is_sync(&self) -> bool {
        matches!(self, Event::SyncFile { .. } | Event::SyncFolder { .. })
    }
}

/// A disk between two events.
#[derive(Clone, Debug)]
pub(super) struct Image {
    nodes: Vec<Node>,
    /// How many events made it: the number of the next one.
    seq: u64,
    power: PowerIdentity,
}

impl Image {
    pub(super) fn empty(power: PowerIdentity) -> Self {
        Self { nodes: vec![Node::Folder(Folder::default())], seq: 0, power }
    }

    pub(super) fn durable(nodes: Vec<Node>, power: PowerIdentity) -> Self {
        Self { nodes, seq: 0, power }
    }

    pub(super) fn power(&self) -> PowerIdentity {
        self.power
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0)
    }

    pub(super) fn folder(&self, id: NodeId) -> Option<&Folder> {
        match self.node(id) {
            Some(Node::Folder(folder)) => Some(folder),
            _ => None,
        }
    }

    pub(super) fn file(&self, id: NodeId) -> Option<&File> {
        match self.node(id) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    pub(super) fn file_mut(&mut self, id: NodeId) -> Option<&mut File> {
        match self.nodes.get_mut(id.0) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Whether something whose sync failed is still shown.
    pub(super) fn has_lost(&self) -> bool {
        let folders = || {
            self.nodes.iter().filter_map(|node| match node {
                Node::Folder(folder) => Some(folder),
                Node::File(_) => None,
            })
        };
        let mut named = folders().flat_map(Folder::all_names);
        folders().any(Folder::has_lost) || named.any(|id| self.file(id).is_some_and(File::has_lost))
    }

    /// What could not be written may be dropped from the cache at any time: then the old is read again.
    pub(super) fn evict_lost(&mut self) {
        for node in &mut self.nodes {
            match node {
                Node::File(file) => file.evict_lost(),
                Node::Folder(folder) => folder.evict_lost(),
            }
        }
    }

    /// All files, named or not.
    pub(super) fn files(&self) -> Vec<NodeId> {
        let files = self.nodes.iter().enumerate().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(index, _)| NodeId(index)).collect()
    }

    /// The node that the next creation makes.
    pub(super) fn next_node(&self) -> NodeId {
        NodeId(self.nodes.len())
    }

    /// What `event` is about to do, with the number of the file or directory that it makes.
    pub(super) fn describe(&self, event: &Event) -> String {
        match event {
            Event::CreateFile { .. } | Event::CreateFolder { .. } => format!("{event} as {}", self.next_node()),
            _ => event.to_string(),
        }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        let seq = self.seq;
        self.seq += 1;
        match event {
            Event::CreateFile { folder, name } => self.link(*folder, name, Node::File(File::default())),
            Event::CreateFolder { folder, name } => self.link(*folder, name, Node::Folder(Folder::default())),
            Event::Rename { folder, from, to } => {
                if let Some(node) = self.folder(*folder).and_then(|folder| folder.find(from)) {
                    let (from, to) = (Arc::clone(from), Arc::clone(to));
                    self.with_folder(*folder, |folder| folder.change(seq, Change::Rename { from, to, node }));
                }
            }
            Event::Remove { folder, name } => {
                self.with_folder(*folder, |folder| folder.change(seq, Change::Remove(Arc::clone(name))));
            }
            Event::SyncFolder { folder } => self.with_folder(*folder, Folder::sync),
            Event::FailSyncFolder { folder } => self.with_folder(*folder, Folder::fail_sync),
            Event::Store { file, at, bytes, part, .. } => {
                let at = usize::try_from(*at).unwrap_or(usize::MAX);
                self.with_file(*file, |file| file.store(seq, at, bytes, *part));
            }
            Event::SetLen { file, len } => self.with_file(*file, |file| file.set_len(seq, *len)),
            Event::SyncFile { file } => self.with_file(*file, File::sync),
            Event::FailSyncFile { file } => self.with_file(*file, File::fail_sync),
            Event::Flip { file, at, bit } => self.with_file(*file, |file| file.flip(*at, *bit)),
        }
    }

    fn link(&mut self, folder: NodeId, name: &Arc<str>, node: Node) {
        let (seq, id) = (self.seq - 1, self.next_node());
        self.nodes.push(node);
        self.with_folder(folder, |folder| folder.change(seq, Change::Link(Arc::clone(name), id)));
    }

    fn with_folder(&mut self, id: NodeId, act: impl FnOnce(&mut Folder)) {
        if let Some(Node::Folder(folder)) = self.nodes.get_mut(id.0) {
            act(folder);
        }
    }

    fn with_file(&mut self, id: NodeId, act: impl FnOnce(&mut File)) {
        if let Some(file) = self.file_mut(id) {
            act(file);
        }
    }

    /// Bytes that named files and the names themselves take.
    pub(super) fn used(&self) -> u64 {
        self.used_below(NodeId::ROOT)
    }

    fn used_below(&self, id: NodeId) -> u64 {
        match self.node(id) {
            Some(Node::File(file)) => file.len(),
            Some(Node::Folder(folder)) => {
                let inside = folder.names().iter().map(|&(_, node)| NAME_COST + self.used_below(node));
                inside.sum()
            }
            None => 0,
        }
    }
}

/// What a name takes of the disk's room.
pub(super) const NAME_COST: u64 = 256;
