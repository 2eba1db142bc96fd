package main

import "math"

// The ground, first part: the inner loops. (Who reads for the lesson may begin with
// words.go. What is here does what its comment says.)
//
// This file defines every inner loop of the program in the plainest Go. It is
// two things at once: the code that runs on a processor without AVX2 or NEON, and the
// specification of kernels_amd64.s and kernels_arm64.s, which have to return the same bits. The
// tests ask for equality, not for a tolerance. Three rules make it possible:
//
//   - A sum of products is a chain of fused multiply-adds over ascending k,
//     c = fma(a[k], b[k], c). Tiles, vectors and threads share out the c's;
//     none of them reorders a chain. (In bfloat16 it is another: kernels_bf16.go.)
//   - A sum along a row runs in 16 lanes, element i in lane i mod 16, and the
//     lanes are added by halves: 8, 4, 2, 1. AVX2 holds the lanes in two
//     registers, NEON in four, Go in an array.
//   - exp and the normal distribution are polynomials of fused operations.
//     Division and square root are IEEE's, so they are exact everywhere.
//
// A Go compiler may fuse x*y + z by itself, even across statements (on arm64 it
// does), but not float32(x*y) + z. So a product that is added to is written like
// that here, or it is fma(x, y, z) where it is to be fused.

// fma returns a·b + c, rounded once: the processor's fused multiply-add.
//
// The product of two float32 is exact in float64, and so the sum is rounded to
// float64 and then to float32. Rounding twice differs from rounding once only
// where the first result lies exactly between two float32 (its low 29 bits are
// 1 followed by zeros) or where float32 has fewer bits, below 2⁻¹²⁶.
func fma(a, b, c float32) float32 {
	sum := float64(a)*float64(b) + float64(c)
	if math.Float64bits(sum)&(1<<29-1) == 1<<28 || math.Abs(sum) < 0x1p-126 {
		return roundOnce(float64(a)*float64(b), float64(c), sum)
	}
	return float32(sum)
}

// roundOnce returns a + b as float32, rounded once, given sum = a + b in
// float64. What that sum lost is known exactly (Knuth's TwoSum). If it lost
// anything, its last bit is set to one ("round to odd"), so that it no longer
// looks like a tie and the second rounding goes the way of the true sum.
func roundOnce(a, b, sum float64) float32 {
	bVirtual := sum - a
	lost := (a - (sum - bVirtual)) + (b - bVirtual)
	bits := math.Float64bits(sum)
	if (lost > 0 || lost < 0) && bits&1 == 0 {
		if (lost > 0) == (sum > 0) {
			bits++
		} else {
			bits--
		}
	}
	return float32(math.Float64frombits(bits))
}

// Coefficients of exp on [−ln 2/2, ln 2/2], smallest greatest relative error
// (3e-9), the first two being 1. ln 2 is split in two, so that n·ln2High is exact.
const (
	log2E   = 1.44269504088896341
	ln2High = 0.693359375
	ln2Low  = -2.12194440054690583e-4
	exp2    = 0.4999999345167107
	exp3    = 0.16666520689302755
	exp4    = 0.04166838736647313
	exp5    = 0.008368709888745707
	exp6    = 0.001381461325799067

	expLowest = -87.33654 // the logarithm of the smallest normal float32
)

// exp returns e^x for x ≤ 88, within about one unit in the last place, and 0
// where the result would be below the smallest normal number. With n the
// integer nearest to x/ln 2 and r the remainder, e^x = 2ⁿ·e^r.
func exp(x float32) float32 {
	n := float32(math.RoundToEven(float64(x * log2E)))
	r := fma(n, -ln2High, x)
	r = fma(n, -ln2Low, r)
	p := fma(exp6, r, exp5)
	p = fma(p, r, exp4)
	p = fma(p, r, exp3)
	p = fma(p, r, exp2)
	p = fma(p, r, 1)
	p = fma(p, r, 1)
	if x < expLowest {
		return 0
	}
	return float32(p * math.Float32frombits(uint32(int32(n)+127)<<23))
}

// Coefficients of the normal distribution's tail, in the form of Abramowitz
// and Stegun's 7.1.26 with one term more: greatest error 4e-9 in exact arithmetic,
// 2.1e-7 in float32, whose rounding errors are larger than the polynomial's.
const (
	tailScale = 0.27597888
	tail1     = 0.11762774929102693
	tail2     = 0.04662791276351724
	tail3     = 0.32239112975250533
	tail4     = -0.3142101647801854
	tail5     = 0.4410439857678373
	tail6     = -0.11348061640162166

	inverseSqrt2Pi = 0.3989422804014327
)

// normal returns the standard normal distribution at x, Φ(x) = (1 + erf(x/√2))/2,
// and its density φ(x) = e^(−x²/2)/√(2π). With t = 1/(1 + tailScale·|x|) the
// tail Φ(−|x|) is e^(−x²/2) times a polynomial in t.
func normal(x float32) (distribution, density float32) {
	e := exp(-0.5 * x * x)
	t := 1 / fma(tailScale, float32(math.Abs(float64(x))), 1)
	p := fma(tail6, t, tail5)
	p = fma(p, t, tail4)
	p = fma(p, t, tail3)
	p = fma(p, t, tail2)
	p = fma(p, t, tail1)
	tail := float32(float32(p*t) * e)
	if x < 0 {
		return tail, inverseSqrt2Pi * e
	}
	return 1 - tail, inverseSqrt2Pi * e
}

// lanes are the 16 partial sums of a row.
type lanes [16]float32

// total adds the lanes by halves, and 0, so that there is no −0: a product too small
// for a float32 may leave one in a lane, but not where the assembly's last block adds
// zeros for what is not there.
func (l *lanes) total() float32 {
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			l[i] += l[i+half]
		}
	}
	return l[0] + 0
}

// addGo: y += x.
func addGo(y, x []float32) {
	for i := range y {
		y[i] += x[i]
	}
}

// mulAddGo: y += a ⊙ b, fused.
func mulAddGo(y, a, b []float32) {
	for i := range y {
		y[i] = fma(a[i], b[i], y[i])
	}
}

// scaleGo: y *= s.
func scaleGo(y []float32, s float32) {
	for i := range y {
		y[i] *= s
	}
}

// sumGo: Σ x.
func sumGo(x []float32) float32 {
	var l lanes
	for i, v := range x {
		l[i%16] += v
	}
	return l.total()
}

// dotGo: Σ a·b.
func dotGo(a, b []float32) float32 {
	var l lanes
	for i, v := range a {
		l[i%16] = fma(v, b[i], l[i%16])
	}
	return l.total()
}

// squaresGo: Σ (x − center)², the variance times n where center is the mean,
// the squared norm where it is 0.
func squaresGo(x []float32, center float32) float32 {
	var l lanes
	for i, v := range x {
		d := v - center
		l[i%16] = fma(d, d, l[i%16])
	}
	return l.total()
}

// maximumGo: the greatest of x, −∞ for none. A NaN is passed over.
func maximumGo(x []float32) float32 {
	var l lanes
	for i := range l {
		l[i] = float32(math.Inf(-1))
	}
	for i, v := range x {
		if v > l[i%16] {
			l[i%16] = v
		}
	}
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			if l[i+half] > l[i] {
				l[i] = l[i+half]
			}
		}
	}
	return l[0]
}

// expSumGo: x = e^(scale·(x − max)), and Σ x. With max the greatest of x and
// scale > 0 no power is above 1, and none overflows.
func expSumGo(x []float32, max, scale float32) float32 {
	var l lanes
	for i, v := range x {
		x[i] = exp((v - max) * scale)
		l[i%16] += x[i]
	}
	return l.total()
}

// softmaxBackwardGo: dp = scale·p·(dp − dot). Where dp is the gradient of
// p = softmax(scale·x) and dot is Σ dp·p, that is the gradient of x.
func softmaxBackwardGo(dp, p []float32, dot, scale float32) {
	for i := range dp {
		dp[i] = float32((dp[i]-dot)*p[i]) * scale
	}
}

// geluGo: y = x·Φ(x).
func geluGo(y, x []float32) {
	for i, v := range x {
		distribution, _ := normal(v)
		y[i] = v * distribution
	}
}

// geluBackwardGo: dx = dy·(Φ(x) + x·φ(x)).
func geluBackwardGo(dx, dy, x []float32) {
	for i, v := range x {
		distribution, density := normal(v)
		dx[i] = dy[i] * fma(v, density, distribution)
	}
}

// logistic returns 1/(1 + e^(−u)), by way of e^(−|u|), which cannot overflow.
func logistic(u float32) float32 {
	e := exp(-float32(math.Abs(float64(u))))
	t := 1 / (1 + e)
	if u < 0 {
		return e * t
	}
	return t
}

// gatedGo: y = x·σ(linear·x + cubic·x³), where both factors are ≥ 0.
func gatedGo(y, x []float32, linear, cubic float32) {
	for i, v := range x {
		y[i] = v * logistic(fma(v*v, cubic, linear)*v)
	}
}

// gatedBackwardGo: dx = dy·(σ + x·σ·(1 − σ)·(linear + cubic3·x²)), cubic3 being 3·cubic.
func gatedBackwardGo(dx, dy, x []float32, linear, cubic, cubic3 float32) {
	for i, v := range x {
		s := logistic(fma(v*v, cubic, linear) * v)
		dx[i] = dy[i] * fma(float32(float32((1-s)*s)*v), fma(v*v, cubic3, linear), s)
	}
}

// normalizeGo: xhat = (x − mean)·rstd and y = xhat·gain + bias, a row of LayerNorm.
func normalizeGo(y, xhat, x, gain, bias []float32, mean, rstd float32) {
	for i, v := range x {
		h := (v - mean) * rstd
		xhat[i] = h
		y[i] = fma(h, gain[i], bias[i])
	}
}

// normalizeSumsGo: with g = dy·gain, Σ g and Σ g·xhat.
func normalizeSumsGo(dy, gain, xhat []float32) (sum, dot float32) {
	var s, d lanes
	for i, v := range dy {
		g := float32(v * gain[i])
		s[i%16] += g
		d[i%16] = fma(g, xhat[i], d[i%16])
	}
	return s.total(), d.total()
}

// normalizeBackwardGo: dx = rstd·(dy·gain − mean − xhat·dot), where mean and dot
// are the means of dy·gain and of dy·gain·xhat along the row.
func normalizeBackwardGo(dx, dy, gain, xhat []float32, mean, dot, rstd float32) {
	for i, v := range dy {
		g := float32(v*gain[i]) - mean
		dx[i] = fma(-dot, xhat[i], g) * rstd
	}
}

// dropoutGo: y = x·scale where the coin of element first+i is kept, otherwise 0.
// The coin is a hash of (key, first+i) and is kept with probability 1−p when
// threshold is p·2³¹. Nothing is stored: backward asks for the same coins again.
func dropoutGo(y, x []float32, first, key, threshold uint32, scale float32) {
	for i, v := range x {
		h := (first + uint32(i)) ^ key
		h = (h ^ h>>16) * hashFactor1
		h = (h ^ h>>13) * hashFactor2
		h ^= h >> 16
		if h>>1 < threshold {
			y[i] = 0
		} else {
			y[i] = v * scale
		}
	}
}

// The factors are those of MurmurHash3's finalizer.
const hashFactor1, hashFactor2 = 0x85ebca6b, 0xc2b2ae35

// adamwConstants are the numbers of one AdamW step that all parameters share.
type adamwConstants struct {
	beta1, rest1 float32 // β₁, 1−β₁
	beta2, rest2 float32 // β₂, 1−β₂
	clip         float32 // factor on the gradient, from clipping its norm
	root         float32 // 1/√(1−β₂ᵗ), the bias correction of √v
	epsilon      float32
	rate         float32 // learning rate/(1−β₁ᵗ)
	shrink       float32 // 1 − learning rate·weight decay; 1 without decay
}

// adamwGo updates parameters p from gradients g, with moments m and v:
//
//	g' = clip·g
//	m = β₁·m + (1−β₁)·g'
//	v = β₂·v + (1−β₂)·g'²
//	p = shrink·p − rate·m/(root·√v + ε)
func adamwGo(p, g, m, v []float32, c *adamwConstants) {
	for i := range p {
		gi := g[i] * c.clip
		m[i] = fma(c.beta1, m[i], gi*c.rest1)
		v[i] = fma(c.beta2, v[i], float32(gi*gi)*c.rest2)
		root := float32(math.Sqrt(float64(v[i])))
		step := m[i] / fma(root, c.root, c.epsilon)
		p[i] = fma(-c.rate, step, p[i]*c.shrink)
	}
}

// packGo copies rows × cols elements of src to panels of width columns, which begin
// panel elements apart:
//
//	dst[c/width·panel + r·width + c%width] = src[r·srcRow + c]
func packGo(dst []float32, width, panel int, src []float32, srcRow, rows, cols int) {
	for r := range rows {
		for c := 0; c < cols; c += width {
			copy(dst[c/width*panel+r*width:], src[r*srcRow+c:][:min(width, cols-c)])
		}
	}
}

// transposeGo: dst[c·dstRow + r] = src[r·srcRow + c] for rows × cols elements of src.
func transposeGo(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	for r := range rows {
		for c := range cols {
			dst[c*dstRow+r] = src[r*srcRow+c]
		}
	}
}

// A tile is a small part of a matrix product, c = start + a·b:
//
//	c[i·cRow + j] = start[i·startRow + j] + Σₖ a[i·aRow + k·aStep]·b[k·bRow + j]
//
// for rows × cols outputs and k from 0 to depth − 1, as a chain of fused
// multiply-adds that begins at start. Two steps let a be read as it lies or
// transposed; startRow = 0 repeats one row, as a bias does; start may be c.
//
// There are at most tileRows × tileCols outputs. The assembly does rows by threes,
// so there are at least three; or there is one, and aRow, cRow and startRow are 0.
// Every row of b has tileCols floats, whatever cols is.
//
// While it computes, it may fetch into the cache what later tiles will need: up to
// fetchRows rows of next, nextRow apart, fetchCols floats of each; and as many of the c
// that begins nextC floats on. That changes no number, so it may reach beyond the slices.
type tile struct {
	rows, cols, depth int
	c, a, b, start    []float32
	cRow, startRow    int
	aRow, aStep       int
	bRow              int
	next              []float32
	nextRow, nextC    int
	group             [4]int // the first rows of groups of three that make up the tile
}

const tileRowsGo, tileColsGo = 4, 4

const fetchRows, fetchCols = 16, 64

// tileGo computes a tile. Four columns go side by side because each step of a
// chain has to wait for the one before.
func tileGo(t *tile) {
	for i := range t.rows {
		var c [tileColsGo]float32
		copy(c[:t.cols], t.start[i*t.startRow:])
		c0, c1, c2, c3 := c[0], c[1], c[2], c[3] // in registers
		for k := range t.depth {
			x, b := t.a[i*t.aRow+k*t.aStep], t.b[k*t.bRow:][:tileColsGo]
			c0 = fma(x, b[0], c0)
			c1 = fma(x, b[1], c1)
			c2 = fma(x, b[2], c2)
			c3 = fma(x, b[3], c3)
		}
		c = [...]float32{c0, c1, c2, c3}
		copy(t.c[i*t.cRow:], c[:t.cols])
	}
}
