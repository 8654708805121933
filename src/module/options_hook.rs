// SPDX-License-Identifier: GPL-2.0

//! Where option bytes enter a segment: what MPTCP adds to each header that TCP has written.
//!
//! C counterpart: `mptcp_established_options`, `mptcp_write_options` in net/mptcp/options.c.

use crate::af_ops;
use crate::close;
use crate::connection::Connection;
use crate::counters::Counter;
use crate::event;
use crate::handshake::{
    self,
    Syn, //
};
use crate::join;
use crate::locks::DataLock;
use crate::net;
use crate::paths;
use crate::reset::ResetOption;
use crate::schedule::now;
use crate::skb::{
    Header,
    Skb,
    ACK,
    FIN,
    OPTIONS_MAX,
    RST,
    SYN, //
};
use crate::sock::Sock;
use crate::subflow::{
    self,
    Handshake,
    Signal,
    Subflow, //
};
use crate::trace;
use mptcp_proto::handshake::Carrier;
use mptcp_proto::ids::AddressId;
use mptcp_proto::mapping::Mapping;
use mptcp_proto::options::brevity::{
    Brevity,
    Form, //
};
use mptcp_proto::options::dss::{
    dss_checksum,
    DsnField, //
};
use mptcp_proto::options::mp_tcprst::Reason;
use mptcp_proto::options::{
    AddAddr,
    Dss,
    DssMapping,
    MpFail,
    MpTcprst,
    MptcpOption,
    RemoveAddr, //
};
use mptcp_proto::seq::{
    DataSeq,
    SubflowSeq, //
};
use mptcp_proto::window::Advertised;

/// Bytes of a DSS that only acknowledges.
pub(crate) const ACK_LEN: usize = 12;

/// Adds what MPTCP has to say to a segment that leaves.
///
/// # Locking
///
/// `ssk` is owned. # Context: softirq or process.
#[inline]
pub(crate) fn on_transmit(ssk: Sock, packet: Skb) {
    if let Some(subflow) = subflow::of(ssk) {
        on_subflow_transmit(ssk, subflow, packet);
    } else {
        let flags = packet.outgoing_flags();
        if flags & SYN != 0 {
            on_syn(ssk, packet, flags);
        }
    }
}

/// A segment of a subflow leaves. See [`on_transmit`].
#[inline(never)]
fn on_subflow_transmit(ssk: Sock, subflow: &Subflow, packet: Skb) {
    let Some((header, _)) = packet.outgoing() else {
        return;
    };
    let connection = subflow.connection();
    if header.flags & SYN != 0 {
        if let Some(option) = join::syn_option(connection, subflow) {
            if ssk.retransmits() == 0 {
                connection.count(Counter::MPJoinSynTx);
            }
            packet.add_option(ssk, &MptcpOption::MpJoin(option));
        }
        return;
    }
    if connection.has_fallen_back() {
        if header.flags & RST != 0 {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
        //# The receiver SHOULD stop generating Data ACKs after it
        //# receives an infinite mapping.
        // Without options the window is still the connection's: the subflow's own buffer is empty.
        announce_window(ssk, connection, packet, true);
        if connection.failure().has_begun() {
            add_after_failure(ssk, connection, subflow, &header, packet);
        }
        return;
    }
    if header.flags & RST != 0 {
        add_reset(ssk, connection, subflow, packet);
        return;
    }
    if header.payload > 0 {
        on_data(ssk, connection, subflow, &header, packet);
        return;
    }
    announce_window(ssk, connection, packet, true);
    if connection.failure().has_begun() {
        add_fail(ssk, connection, packet);
    }
    if add_signal(ssk, subflow, packet) == Room::Dss {
        on_ack(ssk, connection, subflow, &header, packet);
    }
}

/// The SYN of a client: MP_CAPABLE, but not after two time-outs, when a middlebox may drop it, nor while
/// that is known.
#[inline(always)]
fn on_syn(ssk: Sock, packet: Skb, flags: u8) {
    if flags & ACK != 0 {
        handshake::on_simultaneous_open(ssk);
        return;
    }
    match handshake::make_syn(ssk) {
        Syn::Asks(option) => {
            let mut bytes = [0; 4];
            if option.emit(&mut bytes).is_some() {
                packet.add_option_bytes(ssk, &bytes);
            }
        }
        // The answer shows whether the option was dropped.
        Syn::GaveUp => {}
        Syn::Blocked => af_ops::unhook(ssk),
    }
}

/// A reset: MP_FASTCLOSE when it ends the connection and not just the subflow, or MP_FAIL when a checksum was
/// wrong; and MP_TCPRST, which says why.
fn add_reset(ssk: Sock, connection: &Connection, subflow: &Subflow, packet: Skb) {
    let final_for = |reason| MpTcprst {
        transient: false,
        reason,
    };
    let (ends_all, option) = match subflow.resets().local() {
        // Closed by its listener before anybody accepted it: the connection ends with it.
        ResetOption::None if !subflow.is_joined() && !connection.is_adopted() => {
            (true, final_for(Reason::Unspecified))
        }
        ResetOption::None => return,
        ResetOption::Fastclose(reason) => (true, final_for(reason)),
        ResetOption::Tcprst(option) => (false, option),
        ResetOption::Fail(dsn) => {
            connection.count(Counter::MPFailTx);
            packet.add_option(ssk, &MptcpOption::MpFail(MpFail { dsn }));
            (false, final_for(Reason::MiddleboxInterference))
        }
    };
    if ends_all {
        packet.add_option(ssk, &close::fastclose(connection));
    }
    connection.count(Counter::MPRstTx);
    packet.add_option(ssk, &MptcpOption::MpTcprst(option));
}

/// Adds MP_FAIL to a segment without data, if it is time to say it.
///
/// RFC 8684, Section 3.7.
#[cold]
fn add_fail(ssk: Sock, connection: &Connection, packet: Skb) {
    if let Some(dsn) = connection.failure().take_due(now()) {
        if packet.add_option(ssk, &MptcpOption::MpFail(MpFail { dsn })) {
            connection.count(Counter::MPFailTx);
        }
    }
}

/// Whether a segment has room for a DSS.
#[derive(PartialEq, Eq)]
enum Room {
    /// It has.
    Dss,
    /// A signal has taken it.
    None,
}

/// Adds to a segment without data what is to be said once, if there is anything.
#[inline]
fn add_signal(ssk: Sock, subflow: &Subflow, packet: Skb) -> Room {
    // SAFETY: The subflow is owned while it transmits, and the reference ends here.
    match unsafe { subflow.signal() }.take() {
        None => Room::Dss,
        Some(signal) => add_this_signal(ssk, subflow, signal, packet),
    }
}

/// See [`add_signal`].
#[cold]
fn add_this_signal(ssk: Sock, subflow: &Subflow, signal: Signal, packet: Skb) -> Room {
    let count = |counter| subflow.connection().count(counter);
    match signal {
        Signal::AddAddr(option) => {
            let fits = add_announcement(ssk, option, packet);
            count(match (option.is_echo(), fits) {
                (true, true) => Counter::EchoAddTx,
                (true, false) => Counter::EchoAddTxDrop,
                (false, true) => Counter::AddAddrTx,
                (false, false) => Counter::AddAddrTxDrop,
            });
            if !(fits || option.is_echo()) {
                give_up(subflow.connection(), option.id);
            }
        }
        Signal::Prio(option) => {
            count(Counter::MPPrioTx);
            packet.add_option(ssk, &MptcpOption::MpPrio(option));
        }
        Signal::RemoveAddr(ids) => {
            if let Some(option) = RemoveAddr::new(ids.as_bytes()) {
                let fits = packet.add_option(ssk, &MptcpOption::RemoveAddr(option));
                option.ids().for_each(|_| {
                    count(if fits {
                        Counter::RmAddrTx
                    } else {
                        Counter::RmAddrTxDrop
                    });
                });
            }
        }
    }
    match packet.outgoing() {
        Some((_, options)) if options.len() + ACK_LEN <= OPTIONS_MAX => Room::Dss,
        _ => Room::None,
    }
}

/// Adds an ADD_ADDR, if need be in the place of TCP's timestamps: an IPv6 address with a port and its code
/// leaves no room for them. The peer's TCP does without on a segment.
fn add_announcement(ssk: Sock, option: AddAddr, packet: Skb) -> bool {
    let option = MptcpOption::AddAddr(option);
    packet.add_option(ssk, &option)
        || net::config(ssk.net()).drops_timestamps()
            && packet.drop_timestamps(ssk)
            && packet.add_option(ssk, &option)
}

/// An address cannot be announced: the path manager goes on to the next one.
fn give_up(connection: &Connection, id: AddressId) {
    let mut data = DataLock::take(connection);
    if let Some(paths) = paths::of(&mut data) {
        paths.on_announcement_dropped(id);
    }
    drop(data);
    connection.schedule(event::PATHS);
}

/// TCP repeats what nothing has answered: others carry it, too, if there are any.
#[cold]
fn on_timeout(ssk: Sock, connection: &Connection, subflow: &Subflow) {
    if connection.only_first().is_none() {
        ssk.limit_backoff();
    }
    note_losses(ssk, connection, subflow, ssk.retransmits());
    let end = subflow.local_ssn(ssk.write_seq());
    // SAFETY: The subflow is owned while it transmits, and the reference ends with this function.
    let brevity = unsafe { subflow.brevity() };
    let before = brevity.on_timeout(end);
    leave_room(ssk, brevity, before);
}

/// TCP asks whether the peer's window is still closed, or the peer lives, and had no answer to what it asked before.
#[cold]
fn on_probe(ssk: Sock, connection: &Connection, subflow: &Subflow) {
    note_losses(ssk, connection, subflow, ssk.probes());
}

/// So many timeouts in a row have brought no answer: it may be enough for other subflows to take over.
fn note_losses(ssk: Sock, connection: &Connection, subflow: &Subflow, losses: u8) {
    let is_lost = u32::from(losses) >= net::config(ssk.net()).losses_until_stale();
    if is_lost && subflow.set_stale(true) {
        connection.on_subflow_stale(true);
    }
}

/// Makes TCP leave room for the form of the next segments; `before` is the one so far, if it has changed.
///
/// # Locking
///
/// `ssk` is owned.
#[inline]
fn leave_room(ssk: Sock, brevity: &Brevity, before: Option<Form>) {
    if let Some(before) = before {
        ssk.leave_room(before.space(), brevity.form().space());
    }
}

/// A segment of an established subflow without data: MP_CAPABLE until the peer has it, DSS from then on.
#[inline]
fn on_ack(ssk: Sock, connection: &Connection, subflow: &Subflow, header: &Header, packet: Skb) {
    if !subflow.is_proven() && open(ssk, subflow, header, None, packet) {
        return;
    }
    if header.seq == ssk.snd_una().wrapping_sub(1) {
        on_probe(ssk, connection, subflow);
    }
    let fin = connection.data_fin();
    let dss = Dss {
        data_fin: fin.is_some(),
        //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.2
        //# If data is received with a 64-bit DSN, it MUST
        //# be acknowledged with a 64-bit Data ACK.
        data_ack: Some(DsnField::long(connection.rcv_nxt())),
        mapping: fin.map(|fin| fin_mapping(connection, fin)),
    };
    packet.add_option(ssk, &MptcpOption::Dss(dss));
}

/// A segment of an established subflow with data: MP_CAPABLE until the peer has it, DSS from then on.
#[inline]
fn on_data(ssk: Sock, connection: &Connection, subflow: &Subflow, header: &Header, packet: Skb) {
    if ssk.retransmits() > 0 {
        on_timeout(ssk, connection, subflow);
    }
    let ssn = subflow.local_ssn(header.seq);
    let una = subflow.local_ssn(ssk.snd_una());
    if connection.failure().has_begun() && declare_infinite(ssk, connection, subflow, ssn, packet) {
        return;
    }
    // SAFETY: The subflow is owned while it transmits, and the reference ends here.
    let mapping = unsafe { subflow.transmit() }.declare(ssn, header.payload, una);
    if let Some(mapping) = mapping {
        trace::on_mapping(subflow, mapping, true);
    }
    let form = if subflow.is_proven() {
        form_of(ssk, connection, subflow, mapping, packet)
    } else {
        Form::Whole
    };
    announce_window(ssk, connection, packet, form == Form::Whole);
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
    //# A sender MUST include a DSS option with Data Sequence Mapping in
    //# every segment until one of the sent segments has been acknowledged
    //# with a DSS option containing a Data ACK.
    if subflow.is_proven() || !open(ssk, subflow, header, mapping, packet) {
        add_mapping(ssk, connection, subflow, form, mapping, header, packet);
    }
}

/// New data from `ssn` on leaves, with the infinite mapping if the peer is to get it; `true` when it has.
/// The connection has then fallen back.
///
/// RFC 8684, Section 3.7.
#[cold]
fn declare_infinite(
    ssk: Sock,
    connection: &Connection,
    subflow: &Subflow,
    ssn: SubflowSeq,
    packet: Skb,
) -> bool {
    // SAFETY: The subflow is owned while it transmits, and the reference ends with this function.
    let map = unsafe { subflow.transmit() };
    let owed = || connection.failure().take_owed();
    let Some(start) = map.is_new(ssn).then(owed).flatten() else {
        return false;
    };
    let Some(mapping) = map.declare_infinite(start, ssn) else {
        return false;
    };
    announce_window(ssk, connection, packet, true);
    add_infinite(ssk, connection, mapping, packet);
    connection.count(Counter::InfiniteMapTx);
    connection.fall_back();
    true
}

/// A segment of a connection that has fallen back is sent: the infinite mapping goes out with the first new
/// data, or FIN, unless it has before, and again with whatever had it; MP_FAIL with the first ACK if the data
/// was faster.
#[cold]
fn add_after_failure(
    ssk: Sock,
    connection: &Connection,
    subflow: &Subflow,
    header: &Header,
    packet: Skb,
) {
    if header.payload == 0 && header.flags & FIN == 0 {
        add_fail(ssk, connection, packet);
        return;
    }
    // SAFETY: The subflow is owned while it transmits, and the reference ends with this function.
    let map = unsafe { subflow.transmit() };
    let ssn = subflow.local_ssn(header.seq);
    if map.is_new(ssn) && connection.failure().take_lost() {
        map.declare_rest(ssn, DataLock::take(connection).sent.dsn_of(ssn));
        connection.count(Counter::InfiniteMapTx);
    }
    // A FIN has one number of its own.
    if let Some(mapping) = map.infinite_at(ssn, header.payload.max(1)) {
        add_infinite(ssk, connection, mapping, packet);
    }
}

/// Adds the DSS with the infinite mapping.
fn add_infinite(ssk: Sock, connection: &Connection, mapping: Mapping, packet: Skb) {
    let form = Form::Whole.within(packet.option_room(ssk, Form::Short.space()));
    let dsn = match form {
        Form::Short => DsnField::short(mapping.dsn()),
        _ => DsnField::long(mapping.dsn()),
    };
    let mapping = DssMapping {
        dsn,
        ssn: mapping.ssn(),
        data_len: 0,
        checksum: connection.uses_checksum().then_some(0),
    };
    let dss = Dss {
        data_fin: false,
        data_ack: (form == Form::Whole).then(|| DsnField::long(connection.rcv_nxt())),
        mapping: Some(mapping),
    };
    packet.add_option(ssk, &MptcpOption::Dss(dss));
}

/// Chooses the form of the DSS of a segment whose data has `mapping`, and makes TCP leave room for that of
/// the next ones.
///
/// # Locking
///
/// `ssk` is owned.
#[inline]
fn form_of(
    ssk: Sock,
    connection: &Connection,
    subflow: &Subflow,
    mapping: Option<Mapping>,
    packet: Skb,
) -> Form {
    // SAFETY: The subflow is owned while it transmits, and the reference ends with this function.
    let brevity = unsafe { subflow.brevity() };
    let is_news = connection.rcv_nxt() != connection.data_acked();
    let before = if is_news {
        brevity.on_news()
    } else if brevity.on_quiet() {
        mapping.and_then(|mapping| brevity.review(mapping.ssn(), mapping.dsn(), now()))
    } else {
        None
    };
    leave_room(ssk, brevity, before);
    if !brevity.may_lack_room() {
        return Form::Whole;
    }
    let form = brevity.form();
    let form = form.within(packet.option_room(ssk, form.space()));
    if is_news && form != Form::Whole {
        // TCP made this segment before there was news: an ACK of its own brings it.
        connection.schedule(event::ANSWER);
    }
    form
}

/// Adds the DSS of a segment with data.
#[inline]
fn add_mapping(
    ssk: Sock,
    connection: &Connection,
    subflow: &Subflow,
    form: Form,
    mapping: Option<Mapping>,
    header: &Header,
    packet: Skb,
) {
    let data_ack = (form == Form::Whole).then(|| DsnField::long(connection.rcv_nxt()));
    let mapping = mapping.map(|mapping| {
        let (mapping, mut option) = dss_mapping(ssk, subflow, mapping, header, packet);
        if form == Form::Short {
            option.dsn = DsnField::short(mapping.dsn());
        }
        option
    });
    let dss = Dss {
        data_fin: false,
        data_ack,
        mapping,
    };
    packet.add_option(ssk, &MptcpOption::Dss(dss));
}

/// What a subflow says until the peer has answered, MP_JOIN's third ACK or MP_CAPABLE; `false` when it
/// is to say a DSS.
///
/// A DATA_FIN that has to wait for nothing goes out at once; every other repetition is MP_CAPABLE
/// again, in case the third ACK was lost.
#[cold]
fn open(
    ssk: Sock,
    subflow: &Subflow,
    header: &Header,
    mapping: Option<Mapping>,
    packet: Skb,
) -> bool {
    let connection = subflow.connection();
    let urgent = mapping.is_none() && connection.data_fin().is_some();
    let option = if subflow.is_joined() {
        join::third_ack(subflow).map(MptcpOption::MpJoin)
    } else if urgent && connection.progress().stalls() % 2 == 0 {
        None
    } else {
        third_ack(ssk, subflow, header, mapping, packet)
    };
    if let Some(option) = &option {
        packet.add_option(ssk, option);
    }
    option.is_some() || subflow.is_joined()
}

/// The client's MP_CAPABLE with both keys, which it repeats until the server's first DSS.
///
/// RFC 8684, Section 3.1.
fn third_ack(
    ssk: Sock,
    subflow: &Subflow,
    header: &Header,
    mapping: Option<Mapping>,
    packet: Skb,
) -> Option<MptcpOption<'static>> {
    let carrier = match mapping {
        None => Carrier::Ack,
        Some(mapping) if mapping.ssn() == SubflowSeq::new(1) => {
            let (_, mapping) = dss_mapping(ssk, subflow, mapping, header, packet);
            Carrier::FirstData {
                data_len: mapping.data_len,
                checksum: mapping.checksum,
            }
        }
        Some(_) => Carrier::LaterData,
    };
    // SAFETY: The subflow is owned while it transmits, and the reference ends here.
    let Handshake::Opened(client) = (unsafe { subflow.handshake() }) else {
        return None;
    };
    client.third_ack(carrier).map(MptcpOption::MpCapable)
}

/// A mapping as the option has it, and the mapping itself: another one if what the declared one adds up to
/// is not known any more.
#[inline]
fn dss_mapping(
    ssk: Sock,
    subflow: &Subflow,
    mapping: Mapping,
    header: &Header,
    packet: Skb,
) -> (Mapping, DssMapping) {
    let (mapping, sum) = if subflow.connection().uses_checksum() {
        let (mapping, sum) = sum_up(ssk, subflow, mapping, header, packet);
        (mapping, Some(sum))
    } else {
        (mapping, None)
    };
    // CAST: Segments and declared mappings have at most 65,535 bytes of payload.
    let data_len = mapping.len() as u16;
    let checksum = sum.map(|sum| dss_checksum(mapping.dsn(), mapping.ssn(), data_len, sum));
    let option = DssMapping {
        dsn: DsnField::long(mapping.dsn()),
        ssn: mapping.ssn(),
        data_len,
        checksum,
    };
    (mapping, option)
}

/// What the bytes of a mapping add up to, and the mapping. A segment that is sent again may have only some
/// of the bytes that its mapping covers: their sum was kept. Nearly always; otherwise the segment declares
/// what it has.
///
/// RFC 8684, Section 3.3.1.
#[cold]
fn sum_up(
    ssk: Sock,
    subflow: &Subflow,
    mapping: Mapping,
    header: &Header,
    packet: Skb,
) -> (Mapping, u32) {
    let ssn = subflow.local_ssn(header.seq);
    // SAFETY: The subflow is owned while it transmits, and the reference ends with this function.
    let map = unsafe { subflow.transmit() };
    if mapping.ssn() != ssn || mapping.len() > header.payload {
        if let Some(sum) = map.sum_of(mapping) {
            return (mapping, sum.into());
        }
        let own = Mapping::new(ssn, mapping.dsn_of(ssn), header.payload);
        let sum = packet.network_payload_sum(header.payload, own.len());
        return (own, sum.into());
    }
    let sum = packet.network_payload_sum(header.payload, mapping.len());
    let una = subflow.local_ssn(ssk.snd_una());
    if map.note_sum(mapping, sum, una) {
        // A segment of two mappings could repeat only one, and a receiver that has verified one of them
        // cannot verify both together.
        ssk.keep_apart(header.seq);
    }
    (mapping, sum.into())
}

/// A DATA_FIN without data: it takes one data sequence number and no byte of the subflow.
///
/// RFC 8684, Section 3.3.3.
fn fin_mapping(connection: &Connection, fin: DataSeq) -> DssMapping {
    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.3.3
    //# the DSS MUST have a subflow sequence number of 0, a
    //# Data-Level Length of 1, and the data sequence number that corresponds
    //# with the DATA_FIN itself.
    let ssn = SubflowSeq::new(0);
    DssMapping {
        dsn: DsnField::long(fin),
        ssn,
        data_len: 1,
        checksum: connection
            .uses_checksum()
            .then(|| dss_checksum(fin, ssn, 1, 0)),
    }
}

/// Moves the edge of the window from `before` to `edge`, unless a subflow that sends at the same time moves it
/// farther.
#[inline(always)]
fn promise(connection: &Connection, before: DataSeq, edge: DataSeq) {
    if edge.after(before) {
        if let Err(other) = connection.exchange_edge(before, edge) {
            promise_after(connection, other, edge);
        }
    }
}

/// See [`promise`]; another one was first.
#[cold]
fn promise_after(connection: &Connection, mut before: DataSeq, edge: DataSeq) {
    while edge.after(before) {
        connection.count(Counter::RcvWndConflict);
        match connection.exchange_edge(before, edge) {
            Ok(()) => return,
            Err(other) => before = other,
        }
    }
    connection.count(Counter::RcvWndConflictUpdate);
}

/// Replaces the subflow's window by the connection's, which counts from the Data ACK. The peer takes it in
/// only if the segment `acks`.
#[inline(always)]
fn announce_window(ssk: Sock, connection: &Connection, packet: Skb, acks: bool) {
    let rcv_nxt = connection.rcv_nxt();
    let free = connection.free_space();
    let before = connection.edge();
    let mut window = Advertised::up_to(before.later(rcv_nxt));
    let step = connection.window_step(ssk.mss(), free);
    let field = window.advertise(rcv_nxt, free, step, ssk.rcv_wscale());
    if acks {
        promise(connection, before, window.edge());
        connection.set_data_acked(rcv_nxt);
    }
    packet.set_window(field);
    ssk.set_rcv_wnd(u32::from(field) << ssk.rcv_wscale());
}
