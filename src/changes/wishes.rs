//! Other devices of a kind: farther from the GPUs, of another model, or none.

use super::ask::Ask;
use super::change::Change;
use crate::engine::score::Property;
use crate::request::{DeviceWish, Policy, WishNumber};

/// Nearness preferred, where it is required.
pub(super) fn anywhere(ask: Ask<'_>) -> Option<Change> {
    let required = |wish: &DeviceWish| wish.near == Policy::Require;
    let fits = || {
        ask.fits(|spec| {
            for wish in spec.device_wishes.iter_mut().filter(|wish| required(wish)) {
                wish.near = Policy::Prefer;
            }
        })
    };
    let any = ask.spec().device_wishes.iter().any(required);
    (any && fits()).then_some(Change::Relax { property: Property::BesideGpus })
}

/// For each kind any model, or else fewer, or else none.
pub(super) fn others(ask: Ask<'_>) -> impl Iterator<Item = Change> {
    ask.spec().device_wishes.iter().filter_map(move |wish| {
        let kind = wish.kind;
        let any_model = || {
            ask.fits(|spec| {
                let of_kind = spec.device_wishes.iter_mut().filter(|wish| wish.kind == kind);
                of_kind.for_each(|wish| wish.model = None);
            })
        };
        let fewer = || {
            let WishNumber::Count(count) = wish.number else { return None };
            // More devices than a VM may have are refused where the request is made.
            (1..count).rev().find(|count| {
                ask.fits(|spec| {
                    let of_kind = spec.device_wishes.iter_mut().filter(|wish| wish.kind == kind);
                    of_kind.for_each(|wish| wish.number = WishNumber::Count(*count));
                })
            })
        };
        let none = || ask.fits(|spec| spec.device_wishes.retain(|wish| wish.kind != kind));
        if wish.model.is_some() && any_model() {
            return Some(Change::AnyDeviceModel { kind });
        }
        if let Some(count) = fewer() {
            return Some(Change::FewerDevices { kind, count });
        }
        none().then_some(Change::WithoutDevices { kind })
    })
}
