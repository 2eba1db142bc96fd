//go:build !purego

package main

import "golang.org/x/sys/cpu"

// The kernels in assembly. Each returns the bits of its namesake in
// kernels_generic.go, where it is explained.

//go:noescape
func addAVX2(y, x []float32)

//go:noescape
func mulAddAVX2(y, a, b []float32)

//go:noescape
func scaleAVX2(y []float32, s float32)

//go:noescape
func sumAVX2(x []float32) float32

//go:noescape
func dotAVX2(a, b []float32) float32

//go:noescape
func squaresAVX2(x []float32, center float32) float32

//go:noescape
func maximumAVX2(x []float32) float32

//go:noescape
func expSumAVX2(x []float32, max, scale float32) float32

//go:noescape
func softmaxBackwardAVX2(dp, p []float32, dot, scale float32)

//go:noescape
func geluAVX2(y, x []float32)

//go:noescape
func geluBackwardAVX2(dx, dy, x []float32)

//go:noescape
func gatedAVX2(y, x []float32, linear, cubic float32)

//go:noescape
func gatedBackwardAVX2(dx, dy, x []float32, linear, cubic, cubic3 float32)

//go:noescape
func normalizeAVX2(y, xhat, x, gain, bias []float32, mean, rstd float32)

//go:noescape
func normalizeSumsAVX2(dy, gain, xhat []float32) (sum, dot float32)

//go:noescape
func normalizeBackwardAVX2(dx, dy, gain, xhat []float32, mean, dot, rstd float32)

//go:noescape
func dropoutAVX2(y, x []float32, first, key, threshold uint32, scale float32)

//go:noescape
func adamwAVX2(p, g, m, v []float32, c *adamwConstants)

//go:noescape
func packAVX2(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)

//go:noescape
func transposeBlocksAVX2(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)

//go:noescape
func tileAVX2(t *tile)

//go:noescape
func tileAVX512(t *tile)

// transposeAVX2 leaves what is over after blocks of 8×8 to the Go version.
func transposeAVX2(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	r, c := rows&^7, cols&^7
	if r > 0 && c > 0 {
		transposeBlocksAVX2(dst, dstRow, src, srcRow, r, c)
	}
	if r < rows {
		transposeGo(dst[r:], dstRow, src[r*srcRow:], srcRow, rows-r, cols)
	}
	if r > 0 && c < cols {
		transposeGo(dst[c*dstRow:], dstRow, src[c:], srcRow, r, cols-c)
	}
}

// init adds the tables of kernels in assembly that this processor can run, and takes
// the last one into use. GODEBUG=cpu.avx512f=off hides AVX-512 from it,
// GODEBUG=cpu.all=off AVX2 too.
func init() {
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		return
	}
	avx2 := kernelTable{
		name:              "AVX2",
		add:               addAVX2,
		mulAdd:            mulAddAVX2,
		scale:             scaleAVX2,
		sum:               sumAVX2,
		dot:               dotAVX2,
		squares:           squaresAVX2,
		maximum:           maximumAVX2,
		expSum:            expSumAVX2,
		softmaxBackward:   softmaxBackwardAVX2,
		gelu:              geluAVX2,
		geluBackward:      geluBackwardAVX2,
		gated:             gatedAVX2,
		gatedBackward:     gatedBackwardAVX2,
		normalize:         normalizeAVX2,
		normalizeSums:     normalizeSumsAVX2,
		normalizeBackward: normalizeBackwardAVX2,
		dropout:           dropoutAVX2,
		adamw:             adamwAVX2,
		pack:              packAVX2,
		transpose:         transposeAVX2,
		tile:              tileAVX2,
		tileRows:          6,
		tileCols:          16,
	}
	kernelTables = append(kernelTables, avx2)
	if cpu.X86.HasAVX512F {
		avx512 := avx2
		avx512.name, avx512.tile, avx512.tileRows, avx512.tileCols = "AVX-512", tileAVX512, 12, 32
		kernelTables = append(kernelTables, avx512)
	}
	kernels = kernelTables[len(kernelTables)-1]
}
