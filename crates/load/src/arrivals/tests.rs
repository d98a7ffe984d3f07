//! Rates, orders and crowds, by their counts.

use super::*;

fn namespace() -> NamespaceName {
    NamespaceName::new("products").unwrap()
}

fn ids(count: usize) -> Ids {
    let ids: Vec<String> = (1..=count).map(|number| format!("id-{number}")).collect();
    Ids::new(ids.iter().map(String::as_str), &namespace()).unwrap()
}

fn share(arrivals: &[Arrival], id: &str) -> f64 {
    let of = arrivals.iter().filter(|arrival| arrival.key.id() == id);
    of.count() as f64 / arrivals.len() as f64
}

#[test]
fn a_steady_rate_is_exact_however_long_it_lasts() {
    let ms = |ms| Duration::from_millis(ms);
    let mut arrivals = Steady::new(ids(2), Order::AsListed, 400.0, 1);
    let first: Vec<_> = arrivals.by_ref().take(5).collect();
    let due: Vec<_> = first.iter().map(|arrival| arrival.due).collect();
    let us = |us| Duration::from_micros(us);
    assert_eq!(due, [ms(0), us(2500), ms(5), us(7500), ms(10)]);
    let read: Vec<_> = first.iter().map(|arrival| arrival.key.id()).collect();
    assert_eq!(read, ["id-1", "id-2", "id-1", "id-2", "id-1"]);
    for (rate, seconds) in [(3.0, 1000), (7001.0, 100), (0.5, 100_000)] {
        let within = Duration::from_secs(seconds);
        let arrivals = Steady::new(ids(1), Order::AsListed, rate, 1);
        let count = arrivals.take_while(|arrival| arrival.due < within).count();
        assert_eq!(count as f64, rate * seconds as f64);
    }
}

#[test]
fn shares_follow_the_exponent_and_the_seed() {
    let arrivals = |exponent, seed| -> Vec<_> {
        let steady = Steady::new(ids(1000), Order::Zipf(exponent), 1.0, seed);
        steady.take(100_000).collect()
    };
    for exponent in [0.0, 0.99, 1.5] {
        let arrivals = arrivals(exponent, 7);
        let sum: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-exponent)).sum();
        for (id, rank) in [("id-1", 1.0_f64), ("id-2", 2.0), ("id-10", 10.0)] {
            let expected = rank.powf(-exponent) / sum;
            let found = share(&arrivals, id);
            assert!(
                (found - expected).abs() < 0.005,
                "{exponent} {id}: {found}, not {expected}"
            );
        }
    }
    assert_eq!(arrivals(0.99, 7), arrivals(0.99, 7));
    assert_ne!(arrivals(0.99, 7), arrivals(0.99, 8));
}

#[test]
fn a_crowd_takes_its_share_while_it_is_there() {
    let seconds = Duration::from_secs;
    let steady = Steady::new(ids(1000), Order::Zipf(0.0), 1000.0, 3);
    let crowd = key("STAR", &namespace()).unwrap();
    let crowd = Crowd::new(steady, crowd, 0.2, [seconds(10), seconds(30)], 3);
    let arrivals: Vec<_> = crowd.take(60_000).collect();
    assert_eq!(share(&arrivals[..10_000], "STAR"), 0.0);
    let during = share(&arrivals[10_000..40_000], "STAR");
    assert!((during - 0.2).abs() < 0.01, "{during}");
    assert_eq!(share(&arrivals[40_000..], "STAR"), 0.0);
    // It comes in the place of others: the rate is what it was.
    assert_eq!(arrivals[20_000].due, seconds(20));
}

#[test]
fn a_list_is_read_as_lines() {
    let read = |text: &[u8]| Ids::read(text, &namespace());
    let Ids(keys) = read(b"LAMP-1\r\n\nStuhl 100%\n  \nlast").unwrap();
    let ids: Vec<_> = keys.iter().map(Key::id).collect();
    assert_eq!(ids, ["LAMP-1", "Stuhl 100%", "last"]);
    let long = "x".repeat(200_000);
    let text = format!("good\n{long}\n\tbad\n.\n..\n");
    let problem = read(text.as_bytes()).unwrap_err().reason;
    for part in [
        "4 of its lines",
        "line 2 is too long",
        "line 3 holds a control",
        "line 4 `.`",
    ] {
        assert!(problem.contains(part), "no `{part}`: {problem}");
    }
    assert!(!problem.contains("line 5"), "{problem}");
    for (text, why) in [
        (&b"\n\n"[..], "no ids"),
        (b"a\n\xff\xfe\n", "line 2 is not UTF-8"),
    ] {
        let problem = read(text).unwrap_err();
        assert!(problem.reason.contains(why), "{}", problem.reason);
    }
}
