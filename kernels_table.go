package main

// The ground: the table of the kernels, of which there is one for each instruction set.

// A kernelTable has one function for each kernel; what it computes stands above its
// Go version. Whoever calls one makes sure that the slices have the right lengths:
// the assembly trusts its arguments.
type kernelTable struct {
	name               string // of the instruction set
	add                func(y, x []float32)
	mulAdd             func(y, a, b []float32)
	scale              func(y []float32, s float32)
	sum                func(x []float32) float32
	dot                func(a, b []float32) float32
	squares            func(x []float32, center float32) float32
	maximum            func(x []float32) float32
	expSum             func(x []float32, max, scale float32) float32
	softmaxBackward    func(dp, p []float32, dot, scale float32)
	gelu               func(y, x []float32)
	geluBackward       func(dx, dy, x []float32)
	gated              func(y, x []float32, linear, cubic float32)
	gatedBackward      func(dx, dy, x []float32, linear, cubic, cubic3 float32)
	normalize          func(y, xhat, x, gain, bias []float32, mean, rstd float32)
	normalizeSums      func(dy, gain, xhat []float32) (sum, dot float32)
	normalizeBackward  func(dx, dy, gain, xhat []float32, mean, dot, rstd float32)
	dropout            func(y, x []float32, first, key, threshold uint32, scale float32)
	adamw              func(p, g, m, v []float32, c *adamwConstants)
	pack               func(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)
	transpose          func(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)
	tile               func(t *tile)
	pairRows           func(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)
	pairColumns        func(dst []float32, width, panel int, src []float32, srcRow, rows, cols int)
	pairFloats         int // that a pair takes in what these two make
	tileBF16           func(t *tile)
	tileRows, tileCols int // of both tiles
}

// kernelTables are the kernels that this processor can run, slowest first: those in
// Go, then what a file for its architecture adds. All give the same bits.
var kernelTables = []kernelTable{{
	name:              "Go",
	add:               addGo,
	mulAdd:            mulAddGo,
	scale:             scaleGo,
	sum:               sumGo,
	dot:               dotGo,
	squares:           squaresGo,
	maximum:           maximumGo,
	expSum:            expSumGo,
	softmaxBackward:   softmaxBackwardGo,
	gelu:              geluGo,
	geluBackward:      geluBackwardGo,
	gated:             gatedGo,
	gatedBackward:     gatedBackwardGo,
	normalize:         normalizeGo,
	normalizeSums:     normalizeSumsGo,
	normalizeBackward: normalizeBackwardGo,
	dropout:           dropoutGo,
	adamw:             adamwGo,
	pack:              packGo,
	transpose:         transposeGo,
	tile:              tileGo,
	pairRows:          pairRowsGo,
	pairColumns:       pairColumnsGo,
	pairFloats:        2,
	tileBF16:          tileBF16Go,
	tileRows:          tileRowsGo,
	tileCols:          tileColsGo,
}}

// kernels are the kernels in use: the last of kernelTables, to which a file for the architecture
// may add.
var kernels = kernelTables[0]
