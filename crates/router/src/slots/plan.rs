//! How ranges are spread over routers. Every router makes the same plan of the same rows and carries out its own part.

/// What one router does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Takes a range that nobody owns.
    Take { range: usize },
    /// Gives a range of its own to another router.
    Give { range: usize, to: usize },
}

/// The steps of router `me` of `routers`. `owners` names the owner of each range; a number that is no router's is
/// nobody. In the end each has an equal share, give or take one; no range moves that need not.
pub(super) fn plan(me: usize, routers: usize, owners: &[usize]) -> Vec<Step> {
    let mut wants = missing(routers, owners);
    let mut takers = std::iter::from_fn(|| {
        let taker = wants.iter().position(|want| *want > 0)?;
        wants[taker] -= 1;
        Some(taker)
    });
    let mut steps = Vec::new();
    for (range, _) in owners.iter().enumerate().filter(|(_, owner)| **owner >= routers) {
        if takers.next() == Some(me) {
            steps.push(Step::Take { range });
        }
    }
    for giver in 0..routers {
        let surplus = surplus(giver, routers, owners);
        let owned = owners.iter().enumerate().filter(|(_, owner)| **owner == giver);
        for (range, _) in owned.take(surplus) {
            let Some(to) = takers.next() else { return steps };
            if giver == me {
                steps.push(Step::Give { range, to });
            }
        }
    }
    steps
}

/// How a router that leaves gives its ranges away: to those that have least.
pub(super) fn leave(me: usize, routers: usize, owners: &[usize]) -> Vec<Step> {
    let mut counts: Vec<usize> = (0..routers).map(|router| count(router, owners)).collect();
    let mut steps = Vec::new();
    for (range, _) in owners.iter().enumerate().filter(|(_, owner)| **owner == me) {
        let others = (0..routers).filter(|router| *router != me);
        let Some(to) = others.min_by_key(|router| counts[*router]) else { break };
        counts[to] += 1;
        steps.push(Step::Give { range, to });
    }
    steps
}

fn share(router: usize, routers: usize, ranges: usize) -> usize {
    ranges / routers + usize::from(router < ranges % routers)
}

fn count(router: usize, owners: &[usize]) -> usize {
    owners.iter().filter(|owner| **owner == router).count()
}

fn surplus(router: usize, routers: usize, owners: &[usize]) -> usize {
    count(router, owners).saturating_sub(share(router, routers, owners.len()))
}

fn missing(routers: usize, owners: &[usize]) -> Vec<usize> {
    let missing = |router| share(router, routers, owners.len()).saturating_sub(count(router, owners));
    (0..routers).map(missing).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOBODY: usize = usize::MAX;

    fn carry_out(routers: usize, owners: &[usize]) -> Vec<usize> {
        let mut after = owners.to_vec();
        for me in 0..routers {
            for step in plan(me, routers, owners) {
                match step {
                    Step::Take { range } => {
                        assert_eq!((owners[range] >= routers, after[range]), (true, owners[range]));
                        after[range] = me;
                    }
                    Step::Give { range, to } => {
                        assert_eq!((owners[range], after[range]), (me, me));
                        after[range] = to;
                    }
                }
            }
        }
        after
    }

    proptest! {
        #[test]
        fn one_round_makes_shares_equal_and_moves_nothing_without_need(
            routers in 1usize..9,
            owners in prop::collection::vec(0usize..10, 64),
        ) {
            let after = carry_out(routers, &owners);
            for router in 0..routers {
                let (has, had) = (count(router, &after), count(router, &owners));
                prop_assert_eq!(has, share(router, routers, 64));
                let kept = (0..64).filter(|range| owners[*range] == router && after[*range] == router).count();
                prop_assert_eq!(kept, had.min(has));
            }
            prop_assert_eq!(carry_out(routers, &after), after);
        }

        #[test]
        fn who_leaves_leaves_nothing_behind(owners in prop::collection::vec(0usize..4, 64)) {
            let mut after = owners.clone();
            for step in leave(2, 4, &owners) {
                let Step::Give { range, to } = step else { panic!("a router that leaves takes nothing") };
                after[range] = to;
            }
            prop_assert_eq!(count(2, &after), 0);
        }
    }

    #[test]
    fn the_last_router_has_nobody_to_give_to() {
        assert!(leave(0, 1, &[0; 64]).is_empty());
        assert_eq!(plan(0, 1, &[NOBODY; 64]).len(), 64);
    }
}
