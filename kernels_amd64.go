//go:build !purego

package main

import "golang.org/x/sys/cpu"

// The kernels in assembly. Each returns the bits of its namesake in kernels_generic.go or
// kernels_bf16.go, where it is explained; those without one are the inner loops of others.

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

// roundAVX2: y = roundBF16(x).
//
//go:noescape
func roundAVX2(y, x []float32)

// roundSwappedAVX2: the same, but the two of each pair change places.
//
//go:noescape
func roundSwappedAVX2(y, x []float32)

// tileFlushingAVX2 is tileBF16Go: tileAVX2, while the processor makes subnormal numbers 0.
//
//go:noescape
func tileFlushingAVX2(t *tile)

//go:noescape
func tileFlushingAVX512(t *tile)

//go:noescape
func pairRowsAVX512(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)

//go:noescape
func pairColumnsAVX512(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)

//go:noescape
func tileBF16AVX512(t *tile)

// rounding are the numbers that rounding to bfloat16 needs: see roundBF16.
var rounding = [...]uint32{0x7f800000, 1, 0x7fff, 1 << 22}

// pairOrder makes pairs of 16 bfloat16 and of 16 more.
var pairOrder = [32]uint16{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}

// pairRowsAVX2 leaves what is over after whole pairs to the Go version.
func pairRowsAVX2(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	n := cols &^ 1
	for i := range rows {
		roundSwappedAVX2(dst[i*dstRow:][:n], src[i*srcRow:][:n])
	}
	if n < cols {
		pairRowsGo(dst[n:], dstRow, src[n:], srcRow, rows, 1)
	}
}

// pairColumnsAVX2 goes row by row, and clears the one that the last pair of an odd number lacks.
func pairColumnsAVX2(dst []float32, width, panel int, src []float32, srcRow, rows, cols int) {
	for k := range rows + rows%2 {
		for j := 0; j < cols; j += width {
			to := dst[j/width*panel+(k^1)*width:][:min(width, cols-j)]
			if k < rows {
				roundAVX2(to, src[k*srcRow+j:])
			} else {
				clear(to)
			}
		}
	}
}

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
		pairRows:          pairRowsAVX2,
		pairColumns:       pairColumnsAVX2,
		pairFloats:        2,
		tileBF16:          tileFlushingAVX2,
		tileRows:          6,
		tileCols:          16,
	}
	kernelTables = append(kernelTables, avx2)
	if cpu.X86.HasAVX512F {
		avx512 := avx2
		avx512.name, avx512.tile, avx512.tileRows, avx512.tileCols = "AVX-512", tileAVX512, 12, 32
		avx512.tileBF16 = tileFlushingAVX512
		kernelTables = append(kernelTables, avx512)
		if cpu.X86.HasAVX512BW && cpu.X86.HasAVX512BF16 {
			bf16 := avx512
			bf16.name, bf16.pairRows, bf16.pairColumns, bf16.pairFloats = "AVX-512 BF16", pairRowsAVX512, pairColumnsAVX512, 1
			bf16.tileBF16 = tileBF16AVX512
			kernelTables = append(kernelTables, bf16)
		}
	}
	kernels = kernelTables[len(kernelTables)-1]
}
