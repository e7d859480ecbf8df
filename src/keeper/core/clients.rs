//! The table of clients: who is attached with which role, and where each one's input and output stand.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::LinkId;
use crate::fleet::{ClientId, Role, Size};
use crate::stream::{Delivery, InputReceiver, KeyframeKind};

/// Clients remembered, attached or not; beyond it one that left is forgotten, and with it its input number.
const CLIENTS_CAP: usize = 1024;

/// A keyframe a client asked for and has not got yet; asking again while it waits changes the wish and adds none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refresh {
    /// Next offset the client had wanted.
    pub(super) from: u64,
    /// History in it, bytes.
    pub(super) history_bytes: u32,
}

/// One client; outlives its link so that it can continue.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) link: LinkId,
    pub(super) is_attached: bool,
    pub(super) number: u32,
    pub(super) role: Role,
    pub(super) label: String,
    pub(super) principal: String,
    pub(super) size: Size,
    /// It has no say in the size of the session.
    pub(super) is_sizeless: bool,
    pub(super) delivery: Delivery,
    pub(super) keyframe: KeyframeKind,
    pub(super) input: InputReceiver,
    /// Some of its input found no room; it is told when there is.
    pub(super) is_input_cut: bool,
    /// Some of its input was taken, and it was not told yet.
    pub(super) is_ack_due: bool,
    /// Next offset to send.
    pub(super) sent: u64,
    /// Resizes at exactly `sent` already delivered; lossless delivery only.
    pub(super) resizes_sent: usize,
    /// What the client has processed.
    pub(super) consumed: u64,
    /// Bytes that may be under way.
    pub(super) window: u64,
    /// The window in force: halved when the client falls behind, so that a flood becomes keyframes.
    pub(super) burst: u64,
    /// Shortest time between two outputs, milliseconds; 0 for the stream's own pace.
    pub(super) pace_ms: u64,
    /// On the stream: it gets output as it comes.
    pub(super) is_following: bool,
    /// It was told how the program ended.
    pub(super) is_exit_sent: bool,
    /// When the last keyframe or piece of the log went out, milliseconds since the epoch.
    pub(super) keyframe_ms: u64,
    pub(super) refresh: Option<Refresh>,
    /// A keyframe is under way: until it is read there is no other one, however much output comes.
    pub(super) has_keyframe_unread: bool,
    /// It named a pace: it draws screens, and output that the next screen replaces is of no use to it.
    pub(super) is_drawing: bool,
    /// Start of the period that `period_bytes` counts, milliseconds since the epoch.
    pub(super) period_ms: u64,
    /// Output of this period; drawing clients only.
    pub(super) period_bytes: u64,
    /// When it typed last, milliseconds since the epoch.
    pub(super) typed_ms: u64,
    left: u64,
}

/// All clients of a session.
#[derive(Debug, Default)]
pub(super) struct Clients {
    table: HashMap<ClientId, Client>,
    numbers: u32,
    departures: u64,
}

impl Clients {
    /// The attached client behind this link, and nobody else's.
    pub(super) fn attached(&mut self, id: ClientId, link: LinkId) -> Option<&mut Client> {
        self.table.get_mut(&id).filter(|client| client.is_attached && client.link == link)
    }

    /// The attached client of this id, whatever its link.
    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.table.get_mut(&id).filter(|client| client.is_attached)
    }

    /// A new or returning client, attached to the link; `false` if it was never here.
    pub(super) fn enter(&mut self, id: ClientId, link: LinkId) -> (&mut Client, bool) {
        let is_known = self.table.contains_key(&id);
        if !is_known && self.table.len() >= CLIENTS_CAP {
            self.forget_one();
        }
        self.numbers += u32::from(!is_known);
        let number = self.numbers;
        let client = self.table.entry(id).or_insert_with(|| Client {
            link,
            is_attached: true,
            number,
            role: Role::Observer,
            label: String::new(),
            principal: String::new(),
            size: Size::DEFAULT,
            is_sizeless: false,
            delivery: Delivery::Latest,
            keyframe: KeyframeKind::Replica,
            input: InputReceiver::default(),
            is_input_cut: false,
            is_ack_due: false,
            sent: 0,
            resizes_sent: 0,
            consumed: 0,
            window: 0,
            burst: 0,
            pace_ms: 0,
            is_following: false,
            is_exit_sent: false,
            keyframe_ms: 0,
            refresh: None,
            has_keyframe_unread: false,
            is_drawing: false,
            period_ms: 0,
            period_bytes: 0,
            typed_ms: 0,
            left: 0,
        });
        client.link = link;
        client.is_attached = true;
        client.is_exit_sent = false;
        client.refresh = None;
        client.has_keyframe_unread = false;
        (client, is_known)
    }

    /// The log has forgotten a resize at this offset: whoever is there has had one fewer of those that are left.
    pub(super) fn resize_forgotten(&mut self, offset: u64) {
        for client in self.table.values_mut().filter(|client| client.sent == offset) {
            client.resizes_sent = client.resizes_sent.saturating_sub(1);
        }
    }

    /// The client left.
    pub(super) fn detach(&mut self, id: ClientId) {
        self.departures += 1;
        if let Some(client) = self.table.get_mut(&id) {
            client.is_attached = false;
            client.is_following = false;
            client.refresh = None;
            client.left = self.departures;
        }
    }

    /// All clients of a link left; whether there were any.
    pub(super) fn detach_link(&mut self, link: LinkId) -> bool {
        let leaving: Vec<ClientId> = self
            .table
            .iter()
            .filter(|(_, client)| client.is_attached && client.link == link)
            .map(|(id, _)| *id)
            .collect();
        for id in &leaving {
            self.detach(*id);
        }
        !leaving.is_empty()
    }

    pub(super) fn for_each_attached(&self, mut visit: impl FnMut(ClientId, &Client)) {
        self.table.iter().filter(|(_, client)| client.is_attached).for_each(|(id, client)| visit(*id, client));
    }

    pub(super) fn attached_mut(&mut self) -> impl Iterator<Item = (ClientId, &mut Client)> {
        self.table.iter_mut().filter(|(_, client)| client.is_attached).map(|(id, client)| (*id, client))
    }

    pub(super) fn attached_count(&self) -> usize {
        self.table.values().filter(|client| client.is_attached).count()
    }

    /// The size all drivers can show, and the driver that bounds it.
    pub(super) fn smallest_driver(&self) -> Option<(ClientId, Size)> {
        let sizes = |client: &Client| client.is_attached && client.role == Role::Driver && !client.is_sizeless;
        let drivers = || self.table.iter().filter(|(_, client)| sizes(client));
        let size = drivers().map(|(_, client)| client.size).reduce(Size::min)?;
        let owner = drivers()
            .min_by_key(|(_, client)| (u32::from(client.size.rows()) * u32::from(client.size.cols()), client.number))?;
        Some((*owner.0, size))
    }

    /// Of those who left, one of whoever has most of them; and of these an observer, who has no input to continue.
    fn forget_one(&mut self) {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let gone = || self.table.iter().filter(|(_, client)| !client.is_attached);
        gone().for_each(|(_, client)| *counts.entry(&client.principal).or_default() += 1);
        let count = |client: &Client| counts.get(client.principal.as_str()).copied().unwrap_or(0);
        let worth = |client: &Client| (Reverse(count(client)), client.role == Role::Driver, client.left);
        let first = gone().min_by_key(|(_, client)| worth(client));
        if let Some(id) = first.map(|(id, _)| *id) {
            self.table.remove(&id);
        }
    }

    /// Whether one more client that is not known yet would exceed the bound.
    pub(super) fn is_full(&self, id: ClientId) -> bool {
        !self.table.contains_key(&id) && self.attached_count() >= CLIENTS_CAP
    }
}
