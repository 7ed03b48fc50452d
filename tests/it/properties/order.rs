//! What must not matter: asking again, the order of things, and their numbers.

use pinwise::Usage;
use pinwise::host::Reserve;
use pinwise::request::GpuRequest;

use super::renumber::{Numbers, shuffled};
use super::scene::Scene;
use super::{bytes, ensure, for_cases, scores};

#[test]
fn the_same_question_has_the_same_answer() {
    for_cases(1, 110, |rng| {
        let scene = Scene::new(rng);
        let (first, again) =
            (bytes(&scene, &scene.answer()), bytes(&scene, &scene.clone().answer()));
        ensure(first == again, || format!("{first}\n{again}\n{}", scene.text()))
    });
}

#[test]
fn the_order_of_the_description_does_not_matter() {
    for_cases(2, 110, |rng| {
        let scene = Scene::new(rng);
        let host = shuffled(rng, scene.description.clone()).build().unwrap();
        let other = Scene { host, ..scene.clone() };
        let (first, again) = (bytes(&scene, &scene.answer()), bytes(&other, &other.answer()));
        ensure(first == again, || format!("{first}\n{again}\n{}", scene.text()))
    });
}

/// Who came first, and which device was named first, is not in the question.
#[test]
fn the_order_of_tenants_and_devices_does_not_matter() {
    let several = std::cell::Cell::new((0, 0));
    for_cases(25, 150, |rng| {
        let mut scene = Scene::new(rng);
        if let GpuRequest::Addresses(gpus) = &mut scene.request.gpus {
            gpus.sort();
        }
        let mut other = scene.clone();
        rng.shuffle(&mut other.tenants);
        other.usage = Usage::empty(&other.host);
        for (name, claim) in &mut other.tenants {
            rng.shuffle(&mut claim.devices);
            rng.shuffle(&mut claim.pages);
            other.usage.claim(&other.host, name, claim.clone()).unwrap();
        }
        let mut named = 0;
        if let GpuRequest::Addresses(gpus) = &mut other.request.gpus {
            rng.shuffle(gpus);
            named = gpus.len();
        }
        let (tenants, gpus) = several.get();
        let more = |is: bool| u32::from(is);
        several.set((tenants + more(other.tenants.len() > 1), gpus + more(named > 1)));
        let (before, after) = (scene.answer(), other.answer());
        // Of several that somebody holds, a refusal names the first that was named.
        if named > 1 && before.is_err() && after.is_err() {
            return Ok(());
        }
        let (first, again) = (bytes(&scene, &before), bytes(&other, &after));
        ensure(first == again, || format!("{first}\n{again}\n{}", scene.text()))
    });
    let (tenants, gpus) = several.get();
    assert!(tenants > 30 && gpus > 5, "{tenants} with several tenants, {gpus} with several GPUs");
}

#[test]
fn numbers_of_pcpus_nodes_and_buses_do_not_matter() {
    for_cases(3, 130, |rng| {
        let mut scene = Scene::new(rng);
        // What is kept for the host by default goes by numbers: the lowest.
        scene.description.reserved = Reserve::These(scene.host.kept().cpus.clone());
        scene.host = scene.description.clone().build().unwrap();
        let numbers = Numbers::new(rng, &scene.description);
        let description = numbers.host(&scene.description);
        let host = description.clone().build().unwrap();
        let mut usage = Usage::empty(&host);
        for (name, claim) in &scene.tenants {
            usage.claim(&host, name, numbers.claim(claim)).unwrap();
        }
        let request = numbers.request(&scene.request);
        let other = Scene { description, host, usage, request, ..scene.clone() };
        let (first, again) = (scores(&scene.answer()), scores(&other.answer()));
        ensure(first == again, || format!("{first:?}\n{again:?}\n{}{}", scene.text(), other.text()))
    });
}
