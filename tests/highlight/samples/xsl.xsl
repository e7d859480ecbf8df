<?xml version="1.0"?>
<!-- list of busy servers -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template match="/servers">
    <xsl:for-each select="server[@load &gt; 90]">
      <p class="hot"><xsl:value-of select="name"/></p>
    </xsl:for-each>
  </xsl:template>
</xsl:stylesheet>
