package main

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// exactly is a float32 as a number of any precision.
func exactly(x float32) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(float64(x)) }

// roundedTo is a number, not 0, rounded to nearest and even at so many bits, as if there were no
// limits to the exponent, then to infinity or to 0 where there are some.
func roundedTo(x *big.Float, bits uint) float32 {
	rounded := new(big.Float).SetPrec(bits).SetMode(big.ToNearestEven).Set(x)
	f, _ := rounded.Float64()
	if math.Abs(f) < smallestNormal {
		return float32(math.Copysign(0, f))
	}
	return float32(f)
}

func isFinite(x float32) bool { return x-x == 0 }

// checkBF16 compares a rounding and a step with exact arithmetic.
func checkBF16(t *testing.T, x, y, c float32) {
	t.Helper()
	a, b := roundBF16(x), roundBF16(y)
	if isFinite(x) && flush(x) != 0 && !sameBits(a, roundedTo(exactly(x), 8)) {
		t.Fatalf("%x rounded is %x, want %x", x, a, roundedTo(exactly(x), 8))
	}
	if bits := math.Float32bits(a); bits&0xffff != 0 || (x != x) != (a != a) || flush(x) == 0 && !sameBits(a, float32(math.Copysign(0, float64(x)))) {
		t.Fatalf("%x rounded has the bits %x", x, bits)
	}
	c = flush(c)
	got := addProductBF16(a, b, c)
	if !isFinite(a) || !isFinite(b) || !isFinite(c) {
		want := float32(float64(float64(a)*float64(b)) + float64(c)) // ∞ or no number, whatever is rounded
		if !sameBits(got, want) {
			t.Fatalf("%x + %x·%x is %x, want %x", c, a, b, got, want)
		}
		return
	}
	sum := new(big.Float).SetPrec(2000).Mul(exactly(a), exactly(b))
	sum.Add(sum, exactly(c))
	want := float32(float64(float64(a)*float64(b)) + float64(c)) // with the sign of 0
	if sum.Sign() != 0 {
		want = roundedTo(sum, 24)
	}
	if !sameBits(got, want) {
		t.Fatalf("%x + %x·%x is %x, want %x", c, a, b, got, want)
	}
}

// Rounding to bfloat16 and adding a product of two are what exact arithmetic says, rounded
// once, with 0 for what is subnormal.
func TestBF16IsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	number := func() float32 {
		switch r.IntN(8) {
		case 0:
			return special[r.IntN(len(special))]
		case 1: // a tie, or nearly
			return math.Float32frombits(r.Uint32()&^0xffff | 0x8000 + uint32(r.IntN(3)) - 1)
		case 2: // whose products are close to the least number that is not 0
			return math.Float32frombits(r.Uint32()&0x807fffff | uint32(60+r.IntN(8))<<23)
		case 3: // close to that itself
			return math.Float32frombits(r.Uint32()&0x80ffffff | uint32(r.IntN(2))<<23)
		case 4:
			return float32(r.NormFloat64())
		}
		return math.Float32frombits(r.Uint32())
	}
	for range 300000 {
		checkBF16(t, number(), number(), number())
	}
}

// 2⁻¹²⁶ less half of the last place rounds to 2⁻¹²⁶; with a little more taken away it is 0,
// in each instruction set.
func TestBF16JustBelowTheLeastNumber(t *testing.T) {
	defer func(k kernelTable) { kernels = k }(kernels)
	defer inBF16(true)()
	for _, table := range kernelTables {
		kernels = table
		a, b, c := []float32{-0x1p-75, -0x1.02p-75}, []float32{0x1p-76}, []float32{0x1p-126, 0x1p-126}
		matmul(rowMajor(c, 2, 1), rowMajor(a, 2, 1), rowMajor(b, 1, 1), rowMajor(c, 2, 1))
		compareBits(t, table.name, c, []float32{0x1p-126, 0})
	}
}

// Whatever the bits, rounding and adding a product are exact.
func FuzzBF16(f *testing.F) {
	f.Add(uint32(0x3f808000), uint32(0x007fffff), uint32(0x00800000))
	f.Fuzz(func(t *testing.T, x, y, c uint32) {
		checkBF16(t, math.Float32frombits(x), math.Float32frombits(y), math.Float32frombits(c))
	})
}

// pairOf is what a table's pairs hold at p: the even and the odd one, next being how far
// their halves are apart where they are two floats.
func pairOf(k *kernelTable, packed []float32, p, next int) (even, odd float32) {
	if k.pairFloats == 2 {
		return packed[p+next], packed[p]
	}
	bits := math.Float32bits(packed[p])
	return math.Float32frombits(bits << 16), math.Float32frombits(bits &^ 0xffff)
}

// Pairs are made of rounded numbers by the kernels of each instruction set, along a row and
// down columns, at all lengths, with special values too. Nothing beyond is touched.
func TestPairs(t *testing.T) {
	const longest = 150
	r := rand.New(rand.NewPCG(6, 6))
	row, out := guardedFloats(t, longest), guardedFloats(t, 4*longest)
	for _, table := range kernelTables {
		for n := 1; n <= longest; n++ {
			x := row[longest-n:]
			fillRandom(r, x, true)
			pairs := (n + 1) / 2
			var got, want []float32
			for rows := 1; rows <= 3 && rows <= n; rows++ { // which overlap
				cols, step := n-rows+1, pairs*table.pairFloats
				dst := out[len(out)-(rows-1)*step-(cols+1)/2*table.pairFloats:]
				table.pairRows(dst, step, x, 1, rows, cols)
				got, want = nil, nil
				for i := range rows {
					for p := range (cols + 1) / 2 {
						even, odd := pairOf(&table, dst, i*step+p*table.pairFloats, 1)
						got = append(got, even, odd)
					}
					for _, v := range x[i:][:cols] {
						want = append(want, roundBF16(v))
					}
					if cols%2 == 1 {
						want = append(want, 0)
					}
				}
				compareBits(t, fmt.Sprintf("%s: %d rows of %d", table.name, rows, cols), got, want)
			}

			for rows := 1; rows <= n && rows <= 5; rows++ {
				cols, width := n/rows, 1+r.IntN(40)
				pairs, last := (rows+1)/2, (cols-1)/width
				panel := pairs*table.pairFloats*width + r.IntN(3)
				size := last*panel + (pairs*table.pairFloats-1)*width + cols - last*width
				if size > len(out) {
					continue
				}
				dst := out[len(out)-size:]
				table.pairColumns(dst, width, panel, x, cols, rows, cols)
				got, want = nil, nil
				for k := range rows + rows%2 {
					for j := range cols {
						pair := make([]float32, 2)
						pair[0], pair[1] = pairOf(&table, dst, j/width*panel+k/2*table.pairFloats*width+j%width, width)
						got, want = append(got, pair[k%2]), append(want, 0)
						if k < rows {
							want[len(want)-1] = roundBF16(x[k*cols+j])
						}
					}
				}
				compareBits(t, fmt.Sprintf("%s: %d rows of %d columns in panels of %d", table.name, rows, cols, width), got, want)
			}
		}
	}
}

// chainBF16 is c + Σ a·b over depth terms, pair by pair, the odd one first.
func chainBF16(depth int, c float32, a, b func(k int) float32) float32 {
	c = flush(c)
	for k := 0; k < depth; k += 2 {
		if k+1 < depth {
			c = addProductBF16(roundBF16(a(k+1)), roundBF16(b(k+1)), c)
		} else {
			c = addProductBF16(0, 0, c)
		}
		c = addProductBF16(roundBF16(a(k)), roundBF16(b(k)), c)
	}
	return c
}

// Each instruction set's tile of pairs has the bits of the definition, for every number of
// rows and columns, with special values and small ones that vanish, and leaves the processor
// as it was: it still knows subnormal numbers. Nothing beyond the slices is touched.
func TestTileBF16MatchesDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, table := range kernelTables {
		for rows := 3; rows <= table.tileRows; rows++ {
			for cols := 1; cols <= table.tileCols; cols++ {
				terms, width := []int{1, 2, 7, 40, 101}[r.IntN(5)], table.tileCols
				depth := (terms + 1) / 2 * table.pairFloats
				x := tile{cRow: cols + 1, startRow: cols, aRow: depth + 1, aStep: 1, bRow: width}
				x.setRows(rows)
				x.cols, x.depth = cols, depth
				a, b := make([][]float32, rows), make([]float32, terms*width)
				x.a = guardedFloats(t, (rows-1)*x.aRow+depth)
				for i := range a {
					a[i] = make([]float32, terms)
					fillRandom(r, a[i], terms == 7)
					table.pairRows(x.a[i*x.aRow:], 0, a[i], 0, 1, terms)
				}
				x.b = guardedFloats(t, depth*width)
				fillRandom(r, b, terms == 7)
				if terms == 40 { // sums of nearly nothing
					for i := range b {
						b[i] *= 1e-37
					}
				}
				table.pairColumns(x.b, width, 0, b, width, terms, width)
				x.c = guardedFloats(t, (rows-1)*x.cRow+cols)
				x.start = guardedFloats(t, (rows-1)*x.startRow+cols)
				fillRandom(r, x.start, terms == 7)
				if terms == 40 {
					clear(x.start)
				}
				want := slices.Clone(x.c)
				for i := range rows {
					for j := range cols {
						want[i*x.cRow+j] = chainBF16(terms, x.start[i*x.startRow+j], func(k int) float32 { return a[i][k] }, func(k int) float32 { return b[k*width+j] })
					}
				}
				table.tileBF16(&x)
				compareBits(t, fmt.Sprintf("%s tile of %d×%d, %d terms", table.name, rows, cols, terms), x.c, want)
				if half := x.start[0]*0 + math.SmallestNonzeroFloat32*2; half == half && half/2 == 0 {
					t.Fatalf("%s: after the tile, subnormal numbers are 0", table.name)
				}
			}
		}
	}
}

// A product in bfloat16 is what the definition says, whatever its shape, its strides, what it
// starts from and the instruction set, alone or on all workers; with an odd number of terms,
// and more than fit into a block, too.
func TestMatmulBF16MatchesDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	defer func(k kernelTable) { kernels = k }(kernels)
	defer inBF16(true)()
	for _, shape := range [][4]int{{1, 1, 1}, {2, 3, 4, 1}, {12, 32, 8}, {13, 33, 9, 3}, {5, 70, 301}, {70, 5, 3}, {100, 300, 21, 7}, {40, 520, 130},
		{530, 33, 20}, {14, 20, 1024}, {25, 17, 2051, 5}, {510, 514, 3, 2}, {1008, 3, 513}, {3, 1024, 1023, 1}} {
		m, n, k, gap := shape[0], shape[1], shape[2], shape[3]
		window := func(rows, cols int) matrix {
			data := guardedFloats(t, (rows-1)*(cols+gap)+cols)
			fillRandom(r, data, m == 13)
			return matrix{data, rows, cols, cols + gap, 1}
		}
		as, bs := []matrix{window(m, k), window(k, m).T()}, []matrix{window(k, n), window(n, k).T()}
		bias, c := window(1, n), window(m, n)
		before := slices.Clone(c.data)
		for kind := range 12 {
			a, b, start := as[kind&1], bs[kind>>1&1], []matrix{{}, repeated(bias.data, m), c}[kind/4]
			want := slices.Clone(before)
			for i := range m {
				for j := range n {
					sum := []float32{0, bias.data[j], before[i*c.rowStep+j]}[kind/4]
					want[i*c.rowStep+j] = chainBF16(k, sum, func(p int) float32 { return a.data[i*a.rowStep+p*a.colStep] }, func(p int) float32 { return b.data[p*b.rowStep+j*b.colStep] })
				}
			}
			for _, table := range kernelTables {
				kernels = table
				for _, compute := range []func(){func() { matmul(c, a, b, start) }, product{c, a, b, start}.compute} {
					copy(c.data, before)
					compute()
					compareBits(t, fmt.Sprintf("%s: shape %v, kind %d", table.name, shape, kind), c.data, want)
				}
			}
		}
	}
}
