//! The Merkle tree of RFC 6962, section 2.1, over the links of the chain: leaf `n − 1` is the hash at position `n`.
//!
//! A tree that only grows at its right edge needs no more than the roots of its full subtrees to go on, one for each bit
//! that is set in its size: a [`Frontier`].

use std::ops::Range;

use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The hash of a leaf.
#[must_use]
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// What must be kept of a tree so that it can grow: the roots of its full subtrees, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, given its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        for _ in 0..self.size.trailing_ones() {
            // As many bits are set in the size as there are peaks.
            let Some(left) = self.peaks.pop() else { break };
            root = node(&left, &root);
        }
        self.peaks.push(root);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Sha256::digest(b"").into() };
        peaks.fold(*last, |right, left| node(left, &right))
    }

    /// The full subtrees' roots, the largest first, for [`Frontier::from_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// A tree of this size, as it was kept; `None` if these are not its subtrees by their number.
    #[must_use]
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (peaks, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && peaks.len() == size.count_ones() as usize;
        fits.then(|| Self { size, peaks: peaks.to_vec() })
    }
}

/// The subtrees whose roots lead from the leaf `index` to the root of a tree of `size` leaves, from the leaf upwards.
/// Empty if there is no such leaf.
#[must_use]
pub fn siblings(index: u64, size: u64) -> Vec<Range<u64>> {
    let mut siblings = Vec::new();
    let mut tree = 0..size;
    if index < size {
        while tree.end - tree.start > 1 {
            // The largest power of two below the number of leaves divides them.
            let middle = tree.start + (tree.end - tree.start).next_power_of_two() / 2;
            if index < middle {
                siblings.push(middle..tree.end);
                tree.end = middle;
            } else {
                siblings.push(tree.start..middle);
                tree.start = middle;
            }
        }
    }
    siblings.reverse();
    siblings
}

/// The root to which a leaf's hash leads over the roots of its siblings (RFC 9162, section 2.1.3.2); `None` if a tree of
/// `size` leaves has no such path.
#[must_use]
pub fn root_from(index: u64, size: u64, leaf: Hash, path: &[Hash]) -> Option<Hash> {
    let (mut index, mut last) = (index, size.checked_sub(1).filter(|last| index <= *last)?);
    let mut root = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            root = node(sibling, &root);
            // A right edge has no sibling on the levels where nothing is beside it.
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            root = node(&root, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition of the RFC, word for word.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest(b"").into(),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                node(&by_definition(left), &by_definition(right))
            }
        }
    }

    fn grown(leaves: &[Hash]) -> Frontier {
        let mut frontier = Frontier::default();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        frontier
    }

    fn path(leaves: &[Hash], index: u64) -> Vec<Hash> {
        let subtree = |range: Range<u64>| by_definition(&leaves[range.start as usize..range.end as usize]);
        siblings(index, leaves.len() as u64).into_iter().map(subtree).collect()
    }

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    /// The vectors of the reference implementation of RFC 6962 (certificate-transparency, `merkletree`).
    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let data: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::default();
        assert_eq!(hex::encode(frontier.root()), roots[0]);
        for (data, root) in data.iter().zip(&roots[1..]) {
            frontier.push(leaf(data));
            assert_eq!(hex::encode(frontier.root()), *root, "{} leaves", frontier.size());
        }
    }

    #[test]
    fn there_is_no_path_to_a_leaf_that_is_not_there() {
        assert!(siblings(3, 3).is_empty() && siblings(0, 0).is_empty());
        let some = leaf(b"x");
        assert_eq!(root_from(0, 0, some, &[]), None);
        assert_eq!(root_from(3, 3, some, &[]), None);
        assert_eq!(root_from(0, 1, some, &[]), Some(some));
        assert_eq!(root_from(0, 1, some, &[some]), None, "one sibling too many");
        assert_eq!(root_from(0, 2, some, &[]), None, "one sibling too few");
    }

    #[test]
    fn a_frontier_is_kept_as_bytes_and_comes_back_only_at_its_size() {
        let frontier = grown(&leaves(11));
        assert_eq!(Frontier::from_bytes(11, &frontier.to_bytes()), Some(frontier.clone()));
        assert_eq!(Frontier::from_bytes(12, &frontier.to_bytes()), None);
        assert_eq!(Frontier::from_bytes(11, &frontier.to_bytes()[1..]), None);
    }

    proptest! {
        #[test]
        fn growing_gives_the_root_of_the_definition(count in 0_u64..300) {
            let leaves = leaves(count);
            prop_assert_eq!(grown(&leaves).root(), by_definition(&leaves));
        }

        #[test]
        fn a_proof_of_inclusion_verifies_and_a_wrong_one_does_not(
            (size, index) in (1_u64..200).prop_flat_map(|size| (Just(size), 0..size)),
            other in 0_u64..200,
            changed in any::<prop::sample::Index>(),
        ) {
            let leaves = leaves(size);
            let (mine, root) = (leaves[index as usize], by_definition(&leaves));
            let path = path(&leaves, index);
            prop_assert_eq!(root_from(index, size, mine, &path), Some(root));
            // Another leaf, another place, a path that is changed, cut or too long.
            prop_assert_ne!(root_from(index, size, leaf(b"forged"), &path), Some(root));
            if other < size && other != index {
                prop_assert_ne!(root_from(other, size, mine, &path), Some(root));
            }
            let mut longer = path.clone();
            longer.push(mine);
            prop_assert_ne!(root_from(index, size, mine, &longer), Some(root));
            if !path.is_empty() {
                let mut wrong = path.clone();
                wrong[changed.index(path.len())][7] ^= 1;
                prop_assert_ne!(root_from(index, size, mine, &wrong), Some(root));
                prop_assert_ne!(root_from(index, size, mine, &path[1..]), Some(root));
                prop_assert_ne!(root_from(index, size, mine, &path[..path.len() - 1]), Some(root));
            }
        }
    }
}
