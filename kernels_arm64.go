//go:build !purego

package main

import "math"

// The kernels in assembly for arm64, all of whose processors have NEON. Each returns the
// bits of its namesake in kernels_generic.go, where it is explained.

//go:noescape
func addNEON(y, x []float32)

//go:noescape
func mulAddNEON(y, a, b []float32)

//go:noescape
func scaleNEON(y []float32, s float32)

//go:noescape
func sumNEON(x []float32) float32

//go:noescape
func dotNEON(a, b []float32) float32

//go:noescape
func squaresNEON(x []float32, center float32) float32

//go:noescape
func maximumNEON(x []float32) float32

//go:noescape
func expSumNEON(x []float32, max, scale float32) float32

//go:noescape
func softmaxBackwardNEON(dp, p []float32, dot, scale float32)

//go:noescape
func geluNEON(y, x []float32)

//go:noescape
func geluBackwardNEON(dx, dy, x []float32)

//go:noescape
func gatedNEON(y, x []float32, linear, cubic float32)

//go:noescape
func gatedBackwardNEON(dx, dy, x []float32, linear, cubic, cubic3 float32)

//go:noescape
func normalizeNEON(y, xhat, x, gain, bias []float32, mean, rstd float32)

//go:noescape
func normalizeSumsNEON(dy, gain, xhat []float32) (sum, dot float32)

//go:noescape
func normalizeBackwardNEON(dx, dy, gain, xhat []float32, mean, dot, rstd float32)

//go:noescape
func dropoutNEON(y, x []float32, first, key, threshold uint32, scale float32)

//go:noescape
func adamwNEON(p, g, m, v []float32, c *adamwConstants)

//go:noescape
func packNEON(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)

//go:noescape
func transposeBlocksNEON(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)

//go:noescape
func tileColumnsNEON(t *tile)

// transposeNEON leaves what is over after blocks of 4×4 to the Go version.
func transposeNEON(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	r, c := rows&^3, cols&^3
	if r > 0 && c > 0 {
		transposeBlocksNEON(dst, dstRow, src, srcRow, r, c)
	}
	if r < rows {
		transposeGo(dst[r:], dstRow, src[r*srcRow:], srcRow, rows-r, cols)
	}
	if r > 0 && c < cols {
		transposeGo(dst[c*dstRow:], dstRow, src[c:], srcRow, r, cols-c)
	}
}

// tileNEON leaves tiles of fewer than four columns to the Go version.
func tileNEON(t *tile) {
	if t.cols < 4 {
		tileGo(t)
	} else {
		tileColumnsNEON(t)
	}
}

// constants are the numbers that the assembly reads, by their index here.
var constants = [...]float32{
	log2E, -ln2High, -ln2Low, exp6, exp5, exp4, exp3, exp2, 1, expLowest, // 0 to 9
	-0.5, tailScale, tail6, tail5, tail4, tail3, tail2, tail1, inverseSqrt2Pi, // 10 to 18
	float32(math.Inf(-1)), // 19
}

// places are the places of 16 floats in a block, the size of a block, and the
// factors of dropout's hash.
var places = [...]uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, hashFactor1, hashFactor2}

// tailMask is 16 words of ones and 16 of zeros: from word 16−n on it is a mask for
// n floats.
var tailMask = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

// init adds the table of kernels in assembly and takes it into use.
func init() {
	kernelTables = append(kernelTables, kernelTable{
		name:              "NEON",
		add:               addNEON,
		mulAdd:            mulAddNEON,
		scale:             scaleNEON,
		sum:               sumNEON,
		dot:               dotNEON,
		squares:           squaresNEON,
		maximum:           maximumNEON,
		expSum:            expSumNEON,
		softmaxBackward:   softmaxBackwardNEON,
		gelu:              geluNEON,
		geluBackward:      geluBackwardNEON,
		gated:             gatedNEON,
		gatedBackward:     gatedBackwardNEON,
		normalize:         normalizeNEON,
		normalizeSums:     normalizeSumsNEON,
		normalizeBackward: normalizeBackwardNEON,
		dropout:           dropoutNEON,
		adamw:             adamwNEON,
		pack:              packNEON,
		transpose:         transposeNEON,
		tile:              tileNEON,
		tileRows:          6,
		tileCols:          16,
	})
	kernels = kernelTables[len(kernelTables)-1]
}
