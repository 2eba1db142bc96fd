package main

import "math"

// The ground: the inner loops of products in bfloat16 (-bf16), defined in Go as those of
// kernels_generic.go are.
//
// A bfloat16 is the upper half of a float32: its sign, its whole exponent, and 8 bits of
// precision instead of 24, so that 3.14159 is 3.140625, and 1e-30 is nearly that still (in
// float16 it would be 0). In as many bits there are twice as many numbers, and a processor
// that multiplies them multiplies twice as many at once. Training bears it where little is
// rounded: only the two factors of each product, each to the nearest bfloat16. What they
// come to is summed up in float32, and float32 is all else: parameters, their gradients and
// moments, what layers hand on, softmax and losses.
//
// The sum is what the instruction for it, VDPBF16PS, makes of it. It takes the terms in
// pairs, k = 0 and 1, 2 and 3 and so on, and of each pair the odd one first,
//
//	c = c + a[1]·b[1];  c = c + a[0]·b[0];  c = c + a[3]·b[3];  …
//
// each a fused multiply-add that knows no subnormal numbers: below 2⁻¹²⁶ there is only 0.
// If the terms are odd in number, 0·0 makes the last pair whole.

// smallestNormal is the least float32 that is not subnormal.
const smallestNormal = 0x1p-126

// flush makes subnormal numbers 0, with their sign.
func flush(x float32) float32 {
	if math.Abs(float64(x)) < smallestNormal {
		return x * 0
	}
	return x
}

// roundBF16 is the nearest bfloat16, and of two the even one. The rounding may carry up to
// the exponent, which is right, and to infinity.
func roundBF16(x float32) float32 {
	bits := math.Float32bits(flush(x))
	if x != x {
		bits |= 1 << 22 // a NaN stays one without its lower half
	} else {
		bits += 0x7fff + bits>>16&1
	}
	return math.Float32frombits(bits &^ 0xffff)
}

// addProductBF16 returns c + a·b for two bfloat16, rounded once; no c is subnormal. Rounding
// to float64 first does no harm: a·b has 16 bits, and if the sum has too many for a float64,
// its smaller part is far too small to bring it near a tie. What rounds to 2⁻¹²⁶ is no
// subnormal number.
func addProductBF16(a, b, c float32) float32 {
	sum := float64(float64(a)*float64(b)) + float64(c)
	if math.Abs(sum) < 0x1.ffffffp-127 {
		return float32(0 * sum) // with its sign
	}
	return float32(sum)
}

// What a tile multiplies is packed in pairs. VDPBF16PS wants both of a pair in the place of a
// float32, the odd one in its upper half (pairFloats is 1). Where there is none they are two
// float32, the odd one first; then a tile of pairs is a tile like any other, but for what is
// subnormal.

// pairRowsGo makes pairs of what follows one another in the rows of src.
func pairRowsGo(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	for i := range rows {
		pairs := dst[i*dstRow:]
		for k, v := range src[i*srcRow:][:cols] {
			pairs[k^1] = roundBF16(v)
		}
		if cols%2 == 1 {
			pairs[cols-1] = 0
		}
	}
}

// pairColumnsGo makes pairs of what stands one below the other in src, and puts them into
// panels of width columns, as packGo does.
func pairColumnsGo(dst []float32, width, panel int, src []float32, srcRow, rows, cols int) {
	for k := range rows + rows%2 {
		for j := range cols {
			to := &dst[j/width*panel+(k^1)*width+j%width]
			if *to = 0; k < rows {
				*to = roundBF16(src[k*srcRow+j])
			}
		}
	}
}

// tileBF16Go computes a tile (kernels_generic.go) of pairs; its depth counts floats.
func tileBF16Go(t *tile) {
	for i := range t.rows {
		for j := 0; j < t.cols; j += tileColsGo {
			var c [tileColsGo]float32
			cols := min(tileColsGo, t.cols-j)
			copy(c[:cols], t.start[i*t.startRow+j:])
			c0, c1, c2, c3 := flush(c[0]), flush(c[1]), flush(c[2]), flush(c[3])
			for k := range t.depth {
				x, b := t.a[i*t.aRow+k*t.aStep], t.b[k*t.bRow+j:][:tileColsGo]
				c0 = addProductBF16(x, b[0], c0)
				c1 = addProductBF16(x, b[1], c1)
				c2 = addProductBF16(x, b[2], c2)
				c3 = addProductBF16(x, b[3], c3)
			}
			c = [...]float32{c0, c1, c2, c3}
			copy(t.c[i*t.cRow+j:], c[:cols])
		}
	}
}
