//go:build (amd64 || arm64) && !purego

package main

import "math"

// The numbers that the kernels in assembly read.

// constants are the numbers that the assembly reads, by their index here.
var constants = [...]float32{
	log2E, -ln2High, -ln2Low, exp6, exp5, exp4, exp3, exp2, 1, expLowest, // 0 to 9
	-0.5, tailScale, tail6, tail5, tail4, tail3, tail2, tail1, inverseSqrt2Pi, // 10 to 18
	float32(math.Inf(-1)), math.Float32frombits(1<<31 - 1), // 19, 20: −∞, and all bits but the sign
}

// places are the places of 16 floats in a block, the size of a block, and the
// factors of dropout's hash.
var places = [...]uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, hashFactor1, hashFactor2}

// tailMask is 16 words of ones and 16 of zeros: from word 16−n on it is a mask for
// n floats.
var tailMask = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}
