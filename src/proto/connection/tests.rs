// SPDX-License-Identifier: GPL-2.0

//! The data-level state, event by event.

use super::*;

/// Makes a number.
fn dsn(value: u64) -> DataSeq {
    DataSeq::new(value)
}

/// Makes a connection whose numbers are about to wrap: the first byte sent has the number 2^64 - 2,
/// the first byte received the number 101.
fn connection() -> Connection {
    Connection::new(dsn(u64::MAX - 2), dsn(100))
}

/// Acknowledges everything the connection has sent.
fn ack_all(connection: &mut Connection) -> AckOutcome {
    connection.on_data_ack(connection.snd_nxt(), 1_000)
}

#[test]
fn established_data_ack_outcomes() {
    let mut c = connection();
    let first = dsn(u64::MAX - 1);
    assert_eq!(
        c.on_data_ack(first, 100),
        AckOutcome::Same { window_grew: true }
    );
    assert_eq!(
        c.on_data_ack(first, 100),
        AckOutcome::Same { window_grew: false }
    );
    assert_eq!(c.usable(), 100);
    assert_eq!(c.on_send(60), Ok(first));
    assert_eq!((c.usable(), c.outstanding()), (40, 60));
    assert_eq!(c.on_data_ack(dsn(59), 100), AckOutcome::Invalid);
    let acked = AckOutcome::New {
        acked: 50,
        window_grew: false,
        fin_acked: false,
    };
    assert_eq!(c.on_data_ack(dsn(48), 50), acked);
    assert_eq!(
        c.on_data_ack(dsn(40), 58),
        AckOutcome::Old { window_grew: false }
    );
    assert_eq!(
        c.on_data_ack(dsn(40), 59),
        AckOutcome::Old { window_grew: true }
    );
    assert_eq!(c.on_data_ack(dsn(1 << 63), 59), AckOutcome::Invalid);
    assert_eq!(c.snd_una(), dsn(48));
    assert_eq!(c.snd_wnd_end(), dsn(99));
}

#[test]
fn local_close_first_passes_fin_wait_to_time_wait() {
    let mut c = connection();
    assert_eq!(c.on_send(2), Ok(dsn(u64::MAX - 1)));
    assert_eq!(c.shutdown_send(), ShutdownOutcome::Queued(dsn(0)));
    assert_eq!(c.shutdown_send(), ShutdownOutcome::Already);
    assert_eq!(c.state(), State::FinWait1);
    assert_eq!(c.on_send(1), Err(SendError::Finished));
    assert_eq!(c.on_data_ack(dsn(2), 0), AckOutcome::Invalid);
    // All data is acknowledged, the DATA_FIN is not.
    let data = AckOutcome::New {
        acked: 2,
        window_grew: true,
        fin_acked: false,
    };
    assert_eq!(c.on_data_ack(dsn(0), 0), data);
    assert_eq!(c.data_fin_to_send(), Some(dsn(0)));
    let fin = AckOutcome::New {
        acked: 0,
        window_grew: true,
        fin_acked: true,
    };
    assert_eq!(c.on_data_ack(dsn(1), 0), fin);
    assert_eq!((c.data_fin_to_send(), c.state()), (None, State::FinWait2));
    assert_eq!(c.on_receive(9), ReceiveOutcome::Advanced);
    assert_eq!(c.on_data_fin(dsn(110)), FinOutcome::Finished);
    assert_eq!((c.state(), c.rcv_nxt()), (State::TimeWait, dsn(111)));
    assert!(c.may_close_subflows());
    assert_eq!(c.on_data_fin(dsn(110)), FinOutcome::Duplicate);
    c.on_time_wait_over();
    assert_eq!((c.state(), c.abort_reason()), (State::Closed, Abort::No));
}

#[test]
fn both_close_at_once_passes_closing() {
    let mut c = connection();
    assert_eq!(
        c.shutdown_send(),
        ShutdownOutcome::Queued(dsn(u64::MAX - 1))
    );
    assert_eq!(c.on_data_fin(dsn(101)), FinOutcome::Finished);
    assert_eq!(c.state(), State::Closing);
    assert!(!c.may_close_subflows());
    assert!(matches!(
        ack_all(&mut c),
        AckOutcome::New {
            fin_acked: true,
            ..
        }
    ));
    assert_eq!(c.state(), State::TimeWait);
}

#[test]
fn peer_close_first_passes_close_wait_and_last_ack() {
    let mut c = connection();
    assert_eq!(c.on_data_fin(dsn(111)), FinOutcome::Remembered);
    assert_eq!(c.on_data_fin(dsn(111)), FinOutcome::Duplicate);
    assert_eq!(c.on_data_fin(dsn(112)), FinOutcome::Inconsistent);
    assert_eq!(
        (c.state(), c.peer_end()),
        (State::Established, Some(dsn(111)))
    );
    assert_eq!(c.on_receive(11), ReceiveOutcome::BeyondFin);
    assert_eq!(c.on_receive(4), ReceiveOutcome::Advanced);
    assert_eq!(c.on_receive(6), ReceiveOutcome::Finished);
    assert!(c.peer_finished());
    assert_eq!((c.state(), c.rcv_nxt()), (State::CloseWait, dsn(112)));
    assert_eq!(c.on_receive(1), ReceiveOutcome::BeyondFin);
    assert_eq!(c.on_receive(0), ReceiveOutcome::Advanced);
    assert!(c.on_send(5).is_ok());
    assert!(matches!(c.shutdown_send(), ShutdownOutcome::Queued(_)));
    assert_eq!(c.state(), State::LastAck);
    assert!(matches!(
        ack_all(&mut c),
        AckOutcome::New {
            acked: 5,
            fin_acked: true,
            ..
        }
    ));
    assert_eq!(c.state(), State::Closed);
    assert_eq!(c.shutdown_send(), ShutdownOutcome::Closed);
}

#[test]
fn numbers_not_sent_are_taken_back() {
    let mut c = connection();
    let first = c.snd_nxt();
    assert_eq!(c.on_send(100), Ok(first));
    c.on_send_less(60);
    assert_eq!(c.snd_nxt(), first.advance(40));
    assert_eq!(c.on_data_ack(first.advance(41), 0), AckOutcome::Invalid);
    assert!(matches!(
        c.on_data_ack(first.advance(40), 0),
        AckOutcome::New { acked: 40, .. }
    ));
    // Acknowledged numbers and those before a DATA_FIN stay.
    c.on_send_less(1);
    assert_eq!(c.snd_nxt(), first.advance(40));
    assert!(c.on_send(5).is_ok());
    assert!(matches!(c.shutdown_send(), ShutdownOutcome::Queued(_)));
    c.on_send_less(5);
    assert_eq!(c.snd_nxt(), first.advance(46));
}

#[test]
fn impossible_data_fins_are_ignored() {
    let mut c = connection();
    assert_eq!(c.on_receive(10), ReceiveOutcome::Advanced);
    assert_eq!(c.on_data_fin(dsn(110)), FinOutcome::Inconsistent);
    let far = dsn(111).advance(u64::from(WINDOW_MAX) + 1);
    assert_eq!(c.on_data_fin(far), FinOutcome::Inconsistent);
    assert_eq!(c.on_data_fin(far.retreat(1)), FinOutcome::Remembered);
}

#[test]
fn fastclose_closes_in_any_state() {
    let mut c = connection();
    assert!(matches!(c.shutdown_send(), ShutdownOutcome::Queued(_)));
    c.on_fastclose();
    assert_eq!((c.state(), c.abort_reason()), (State::Closed, Abort::Peer));
    assert_eq!(c.data_fin_to_send(), None);
    assert!(c.may_close_subflows());
    c.abort();
    assert_eq!(c.abort_reason(), Abort::Peer);
    let mut c = connection();
    assert_eq!(
        c.on_data_ack(c.snd_una(), 100),
        AckOutcome::Same { window_grew: true }
    );
    c.give_up();
    assert_eq!(c.usable(), 0);
    assert_eq!(c.abort_reason(), Abort::TimedOut);
    assert_eq!(c.on_send(1), Err(SendError::Finished));
}
