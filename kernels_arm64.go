//go:build !purego

package main

// The kernels in assembly for arm64, all of whose processors have NEON. Each returns the
// bits of its namesake in kernels_generic.go, where it is explained. bfloat16 is left to Go.

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
		pairRows:          pairRowsGo,
		pairColumns:       pairColumnsGo,
		pairFloats:        2,
		tileBF16:          tileBF16Go, // NEON flushes what rounding would bring up to 2⁻¹²⁶
		tileRows:          6,
		tileCols:          16,
	})
	kernels = kernelTables[len(kernelTables)-1]
}
