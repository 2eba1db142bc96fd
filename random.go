package main

import "math/rand/v2"

// The ground: chance. Whatever is drawn is a function of the seed and of what it is
// drawn for, so that a run can be repeated, and gone on with, to the last bit.

// What chance is used for. See random.
const (
	forWeights = iota
	forDropout
	forSplit
	forPairs
	forOrder
	forMasks
)

// random returns the generator for one purpose and index. Chance is a function
// of what it decides, not of what was drawn before: step 700 is the same
// whether or not the run was interrupted at 699, on any number of threads.
func random(seed uint64, purpose int, index ...uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, mix(uint64(purpose), index...)))
}

// mix hashes numbers to one (the finalizer of SplitMix64 between them).
func mix(h uint64, numbers ...uint64) uint64 {
	for _, n := range numbers {
		h += n + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
