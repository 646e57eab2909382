//! The shutdown: the time in which everything has to end, and the roster of what has not.

// Without signals everything is registered, and nothing enforces the end.
#![cfg_attr(not(all(unix, feature = "signal")), allow(dead_code, unused_imports))]

mod budget;
mod roster;

pub(crate) use budget::{Budget, DEFAULT, Kind, Order, Phase, Place, inside, order, set_order};
pub(crate) use roster::{
    Overdue, Roster, is_idle, managers_inside, news, overdue, owed, phase, register, running,
    running_inside,
};
